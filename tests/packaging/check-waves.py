#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-waves.py SIMULATION: what docs/fleet.md says of waves is what bench/fleet finds, in fewer nights; and where one policy has
all hosts, the quota is exceeded every night."""

import json
import os
import subprocess
import sys
import unittest

NIGHTS = 25 * int(os.environ.get("DLM_FREEZE_TEST_ROUNDS", 1))


def simulate(*options):
    ran = subprocess.run([sys.argv[1], "--json", "--seeds", str(NIGHTS), *options], capture_output=True, text=True)
    return json.loads(ran.stdout)


class Waves(unittest.TestCase):
    def test_one_policy_for_all_exceeds_the_quota_every_night(self):
        for hosts in ("100", "500", "1000"):
            (naive,) = simulate("--hosts", hosts, "--waves", "1")["results"]
            self.assertEqual(naive["nights_over"], NIGHTS)
            self.assertGreater(naive["peak"], 150)

    def test_as_many_as_the_page_says_are_enough(self):
        for hosts, quota, waves in (("100", "100", "2"), ("500", "100", "12"), ("1000", "150", "15")):
            found = simulate("--hosts", hosts, "--quota", quota, "--waves", waves)
            self.assertEqual(found["enough"], int(waves), found)

    def test_more_waves_that_begin_within_an_hour_of_each_other_are_no_better(self):
        fewer, more = (simulate("--quota", "150", "--waves", waves)["results"][0]["peak"] for waves in ("15", "20"))
        self.assertGreater(more, fewer)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)
