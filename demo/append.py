#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""append FILE: an application that appends to a file and calls no fsync. Each line that it reads is written to the file;
then it answers "done"."""

import os
import sys

file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
for line in sys.stdin.buffer:
    if os.write(file, line) != len(line):
        sys.exit("append: the filesystem is full")
    print("done", flush=True)
