#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""check-selinux-policy.py POLICY: what dlm_freeze_t may do in a policy that the module was linked into."""

import sys
import unittest

import setools

POLICY = setools.SELinuxPolicy(sys.argv[1])
DOMAIN = "dlm_freeze_t"
OWN = {"dlm_freeze_runtime_t", "dlm_freeze_var_lib_t"}


def allowed(tclass, *perms):
    """The types on whose objects of that class the domain may do any of these, whatever attribute or boolean it is by."""
    query = setools.TERuleQuery(
        POLICY, ruletype=["allow"], source=DOMAIN, source_indirect=True, tclass=[tclass], perms=set(perms), perms_equal=False
    )
    names = set()
    for rule in query.results():
        target = rule.target
        names |= {str(one) for one in target.expand()} if isinstance(target, setools.policyrep.TypeAttribute) else {str(target)}
    return names


class Policy(unittest.TestCase):
    def test_is_entered_by_running_the_program(self):
        query = setools.TERuleQuery(POLICY, ruletype=["type_transition"], default=DOMAIN)
        self.assertIn(("unconfined_t", "dlm_freeze_exec_t"), {(str(rule.source), str(rule.target)) for rule in query.results()})

    def test_may_freeze_whatever_directory_a_filesystem_is_mounted_on(self):
        directories = allowed("dir", "ioctl")
        self.assertLessEqual({"root_t", "mnt_t", "mysqld_db_t", "postgresql_db_t", "home_root_t", "var_t"}, directories)
        capabilities = setools.TERuleQuery(POLICY, ruletype=["allow"], source=DOMAIN, target=DOMAIN, tclass=["capability"])
        self.assertIn("sys_admin", set().union(*(rule.perms for rule in capabilities.results())))

    def test_writes_its_own_files_and_a_variable_of_the_kernel_only(self):
        self.assertEqual(allowed("file", "write", "append", "create", "unlink") - {DOMAIN}, OWN | {"sysfs_t"})
        self.assertLessEqual(allowed("dir", "write", "add_name", "remove_name"), OWN | {"var_run_t", "var_lib_t", DOMAIN})

    def test_reaches_the_databases_and_no_files_of_people(self):
        self.assertLessEqual({"mysqld_t", "postgresql_t", "init_t"}, allowed("unix_stream_socket", "connectto"))
        self.assertLessEqual({"mysqld_db_t", "postgresql_db_t", "dlm_freeze_etc_t"}, allowed("file", "read"))
        for other in ("shadow_t", "user_home_t", "sshd_key_t"):
            self.assertNotIn(other, allowed("file", "read"))

    def test_may_not_do_what_only_administrators_do(self):
        self.assertEqual(allowed("security", "load_policy", "setenforce"), set())
        self.assertEqual(allowed("filesystem", "mount", "unmount", "remount"), set())
        self.assertEqual(allowed("blk_file", "read", "write", "open"), set())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
