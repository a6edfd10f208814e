# SPDX-License-Identifier: Apache-2.0
# Policies for waves of instances, docs/fleet.md. The same as ../../wave.yaml, for any number of them: they use the document and
# the role that the module above has made in the same account and Region.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.22" # knows the scripts of a schedule
    }
  }
}

variable "waves" {
  description = "By the value of the tag dlm-freeze-wave: UTC, HH:MM; the first run of a day starts within the hour after it"
  type        = map(string)
}

variable "document_name" {
  description = "The output document_name of the module"
  type        = string
}

variable "role_arn" {
  description = "The output role_arn of the module"
  type        = string
}

variable "policy_state" {
  description = "ENABLED, or DISABLED: a disabled policy starts no snapshots"
  type        = string
  default     = "ENABLED"
}

variable "interval_hours" {
  description = "Hours from one snapshot to the next: 1, 2, 3, 4, 6, 8, 12 or 24"
  type        = number
  default     = 24
}

variable "retain_count" {
  description = "Snapshots of each volume to keep, 1 to 1000"
  type        = number
  default     = 7
}

variable "exclude_boot_volume" {
  description = "The root filesystem is never frozen, so its snapshot is crash-consistent in any case"
  type        = bool
  default     = false
}

variable "script_timeout" {
  description = "Seconds that Data Lifecycle Manager waits for each script, 10 to 120; more than timeout_seconds of dlm-freeze"
  type        = number
  default     = 30
}

variable "script_retries" {
  description = "How often a script that failed is repeated, 0 to 3; pre-script and post-script may both be"
  type        = number
  default     = 1
}

variable "crash_consistent_fallback" {
  description = "Whether to take crash-consistent snapshots when pre-script has failed; if not, there are none"
  type        = bool
  default     = true
}

resource "aws_dlm_lifecycle_policy" "this" {
  for_each = var.waves

  description        = "Application-consistent snapshots with dlm-freeze"
  state              = var.policy_state
  execution_role_arn = var.role_arn

  policy_details {
    policy_type    = "EBS_SNAPSHOT_MANAGEMENT"
    resource_types = ["INSTANCE"] # all volumes of an instance at the same moment
    target_tags    = { dlm-freeze-wave = each.key }

    parameters {
      exclude_boot_volume = var.exclude_boot_volume
    }

    schedule {
      name      = "dlm-freeze"
      copy_tags = true

      create_rule {
        interval      = var.interval_hours
        interval_unit = "HOURS"
        times         = [each.value]

        scripts {
          execution_handler                   = var.document_name
          execution_handler_service           = "AWS_SYSTEMS_MANAGER"
          execution_timeout                   = var.script_timeout
          maximum_retry_count                 = var.script_retries
          execute_operation_on_script_failure = var.crash_consistent_fallback
          stages                              = ["PRE", "POST"]
        }
      }

      retain_rule {
        count = var.retain_count
      }
    }
  }
}
