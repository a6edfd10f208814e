# SPDX-License-Identifier: Apache-2.0

variable "name" {
  description = "Beginning of the name of everything that is made"
  type        = string
  default     = "dlm-freeze"
}

variable "target_tags" {
  description = "Instances with any of these tags are snapshotted"
  type        = map(string)
  default     = { dlm-freeze = "true" }
}

variable "policy_state" {
  description = "ENABLED, or DISABLED: a disabled policy starts no snapshots"
  type        = string
  default     = "ENABLED"

  validation {
    condition     = contains(["ENABLED", "DISABLED"], var.policy_state)
    error_message = "policy_state is ENABLED or DISABLED."
  }
}

variable "interval_hours" {
  description = "Hours from one snapshot to the next"
  type        = number
  default     = 24

  validation {
    condition     = contains([1, 2, 3, 4, 6, 8, 12, 24], var.interval_hours)
    error_message = "interval_hours is 1, 2, 3, 4, 6, 8, 12 or 24."
  }
}

variable "start_time" {
  description = "UTC, HH:MM; the first run of a day starts within the hour after it"
  type        = string
  default     = "03:00"

  validation {
    condition     = can(regex("^([01][0-9]|2[0-3]):[0-5][0-9]$", var.start_time))
    error_message = "start_time is HH:MM."
  }
}

variable "retain_count" {
  description = "Snapshots of each volume to keep, 1 to 1000"
  type        = number
  default     = 7

  validation {
    condition     = var.retain_count >= 1 && var.retain_count <= 1000
    error_message = "retain_count is 1 to 1000."
  }
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

  validation {
    condition     = var.script_timeout >= 10 && var.script_timeout <= 120
    error_message = "script_timeout is 10 to 120."
  }
}

variable "script_retries" {
  description = "How often a script that failed is repeated, 0 to 3; pre-script and post-script may both be"
  type        = number
  default     = 1

  validation {
    condition     = var.script_retries >= 0 && var.script_retries <= 3
    error_message = "script_retries is 0 to 3."
  }
}

variable "crash_consistent_fallback" {
  description = "Whether to take crash-consistent snapshots when pre-script has failed; if not, there are none"
  type        = bool
  default     = true
}

variable "notification_email" {
  description = "Who is told of failures; the address has to confirm. Empty, only the topic is made"
  type        = string
  default     = ""
}

variable "probe_schedule" {
  description = "When State Manager probes all instances with the tags, such as cron(0 1 * * ? *), UTC; docs/fleet.md. Empty, it does not"
  type        = string
  default     = ""
}

variable "inventory_upload" {
  description = "Whether to make the association that uploads inventory; an instance may have one only"
  type        = bool
  default     = false
}

variable "dashboard" {
  description = "Whether to make a CloudWatch dashboard"
  type        = bool
  default     = false
}

variable "one_point_in_time" {
  description = "Whether to make the runbook for one point in time over several instances, and its role; docs/fleet.md"
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of everything that is made"
  type        = map(string)
  default     = {}
}
