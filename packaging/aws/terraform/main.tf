# SPDX-License-Identifier: Apache-2.0
# From nothing to consistent snapshots: docs/aws.md. The same as ../cloudformation.yaml. The instances need dlm-freeze, the
# SSM agent and an instance profile that lets the agent work.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  service = "arn:${data.aws_partition.current.partition}:iam::aws:policy/service-role"
  ec2     = "arn:${data.aws_partition.current.partition}:ec2:${local.region}"

  exit_codes = {
    "201" = "pre-script failed and undid everything; nothing is frozen."
    "202" = "post-script found that the frozen state had not lasted, or could not undo something; the snapshot is only crash-consistent."
    "203" = "the deadline came before post-script and everything was thawed; the snapshot is only crash-consistent."
    "204" = "a session was active already, or another program had frozen a filesystem."
    "205" = "post-script found no session to end."
    "206" = "a database could not be quiesced; nothing is frozen."
  }

  # Data Lifecycle Manager does not document how the exit code appears in its event. In the texts that are known, our own
  # (Return Error Code: 201) and the SSM agent's (exit status 201), it is the end of the text, after a word that says what it
  # is. So these look there, and nowhere else: numbers of accounts and instances, dates and times never count. A text has one
  # end, so exactly one rule takes a failure: `other` takes all without such an end. Wildcards could do no more: EventBridge
  # refuses rules where more than ten could match at the same time.
  before_code = ["ode: ", "ode ", "ode=", "tus: ", "tus ", "tus="]
  after_code  = ["", ".", ")", "\n"]

  code_at_end = {
    for code in keys(local.exit_codes) : code => [
      for around in setproduct(local.before_code, local.after_code) : "${around[0]}${code}${around[1]}"
    ]
  }

  failures = merge(
    {
      for code, message in local.exit_codes : code => {
        message = "${code}: ${message}"
        detail  = { cause = [for end in local.code_at_end[code] : { suffix = end }] }
      }
    },
    {
      other = {
        message = "a script failed in another way: killed, timed out, never delivered; or its exit code is not at the end of the cause."
        detail = {
          result = [{ anything-but = { equals-ignore-case = ["success", "successful", "succeeded", "completed", "started", "initiated"] } }]
          cause  = [{ exists = false }, { anything-but = { suffix = flatten(values(local.code_at_end)) } }]
        }
      }
    },
  )

  alarms = {
    PreScriptFailed  = "A pre-script of dlm-freeze failed, so this snapshot is only crash-consistent, or there is none"
    PostScriptFailed = "A post-script of dlm-freeze failed, so the snapshot before it is only crash-consistent"
  }
}

resource "aws_ssm_document" "general" {
  name            = var.name
  document_type   = "Command"
  document_format = "YAML"
  target_type     = "/AWS::EC2::Instance"
  content         = file("${path.module}/../../ssm/dlm-freeze.yaml")
  tags            = merge(var.tags, { DLMScriptsAccess = "true" }) # without it Data Lifecycle Manager may not call it
}

resource "aws_ssm_document" "operator" {
  name            = "${var.name}-operator"
  document_type   = "Command"
  document_format = "YAML"
  target_type     = "/AWS::EC2::Instance"
  content         = file("${path.module}/../../ssm/dlm-freeze-operator.yaml")
  tags            = var.tags
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["dlm.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["arn:${data.aws_partition.current.partition}:dlm:${local.region}:${local.account}:policy/*"]
    }
  }
}

resource "aws_iam_role" "this" {
  name_prefix        = "${var.name}-"
  description        = "What Data Lifecycle Manager may do; docs/security.md"
  assume_role_policy = data.aws_iam_policy_document.assume.json
  tags               = var.tags
}

resource "aws_iam_role_policy_attachment" "this" {
  for_each = toset(["AWSDataLifecycleManagerServiceRole", "AWSDataLifecycleManagerSSMFullAccess"])

  role       = aws_iam_role.this.name
  policy_arn = "${local.service}/${each.key}"
}

resource "aws_dlm_lifecycle_policy" "this" {
  description        = "Application-consistent snapshots with dlm-freeze"
  state              = var.policy_state
  execution_role_arn = aws_iam_role.this.arn
  tags               = var.tags

  policy_details {
    policy_type    = "EBS_SNAPSHOT_MANAGEMENT"
    resource_types = ["INSTANCE"] # all volumes of an instance at the same moment
    target_tags    = var.target_tags

    parameters {
      exclude_boot_volume = var.exclude_boot_volume
    }

    schedule {
      name      = "dlm-freeze"
      copy_tags = true

      create_rule {
        interval      = var.interval_hours
        interval_unit = "HOURS"
        times         = [var.start_time]

        scripts {
          execution_handler                   = aws_ssm_document.general.name
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

  depends_on = [aws_iam_role_policy_attachment.this]
}
