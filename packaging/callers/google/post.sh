#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# /etc/google/snapshots/post.sh, for snapshots of Compute Engine with guest flush: docs/other-callers.md.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
exec dlm-freeze post-script
