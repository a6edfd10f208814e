# SPDX-License-Identifier: Apache-2.0
# Completion of dlm-freeze(8) for fish.

set -l commands pre-script post-script dry-run status history verify

complete -c dlm-freeze -f
complete -c dlm-freeze -l config -r -F -d "Configuration file"
complete -c dlm-freeze -l log-level -x -a "debug info warn error" -d "Minimum log level"
complete -c dlm-freeze -l state-dir -x -a "(__fish_complete_directories)" -d "Where the session is kept"
complete -c dlm-freeze -l help -s h -d "Print a summary and exit"

set -l none "not __fish_seen_subcommand_from $commands"
complete -c dlm-freeze -n $none -l version -d "Print the version and exit"
complete -c dlm-freeze -n $none -a pre-script -d "Quiesce the databases and freeze the data filesystems"
complete -c dlm-freeze -n $none -a post-script -d "Thaw the filesystems and release the databases"
complete -c dlm-freeze -n $none -a dry-run -d "Show whether a snapshot would be consistent, and why not"
complete -c dlm-freeze -n $none -a status -d "Show whether a session is active and what it holds"
complete -c dlm-freeze -n $none -a history -d "Show the last sessions and how each ended"
complete -c dlm-freeze -n $none -a verify -d "Check copies: of one session, undamaged"

complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script post-script dry-run" -l execution-id -x -a None -d "Identifier of the execution"
complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script" -l auto-thaw -x -d "Seconds until everything is undone"
complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script" -l hold-at -x -d "Lock and freeze at this time, UTC"
complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script verify" -l group -x -d "Id of the sessions on several hosts"
complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script" -l metrics-file -r -F -d "File for Prometheus"
complete -c dlm-freeze -n "__fish_seen_subcommand_from pre-script post-script" -l timeout -x -d "Time budget in seconds"
complete -c dlm-freeze -n "__fish_seen_subcommand_from dry-run" -l probe -d "Also log in to the databases, look for hazards"
complete -c dlm-freeze -n "__fish_seen_subcommand_from dry-run" -l all -d "Print every mount"
complete -c dlm-freeze -n "__fish_seen_subcommand_from dry-run" -l inventory -x -a "(__fish_complete_directories)" -d "Write the result for AWS's inventory"
complete -c dlm-freeze -n "__fish_seen_subcommand_from dry-run" -l write-speed -x -d "Write speed of the devices in MiB/s"
complete -c dlm-freeze -n "__fish_seen_subcommand_from dry-run status history verify" -l json -d "Print one JSON document"
complete -c dlm-freeze -n "__fish_seen_subcommand_from status" -l watch -d "Count down until the session ends"
complete -c dlm-freeze -n "__fish_seen_subcommand_from history" -l last -x -d "How many sessions"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l cut -d "Were these hosts all held at once?"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l snapshots -r -F -d "What describe-snapshots prints"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -r -F -d "Directory, device or image of a copy"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l check -d "Check the filesystems, start the databases"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l databases -r -F -d "What to start for the databases, and to ask them"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l scratch -x -a "(__fish_complete_directories)" -d "Where servers may write"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l memory -x -d "MiB for checkers and servers"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l timeout -x -d "Seconds for each check"
complete -c dlm-freeze -n "__fish_seen_subcommand_from verify" -l junit -r -F -d "Write a JUnit file"
