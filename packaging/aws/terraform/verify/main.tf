# SPDX-License-Identifier: Apache-2.0
# Checks what is in snapshots, docs/verify.md. The same as ../../verify.yaml, in the account and Region of the snapshots.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "name" {
  description = "What everything that is made is named after"
  type        = string
  default     = "dlm-freeze"
}

variable "topic_arn" {
  description = "The topic that is told each result, such as that of the module above"
  type        = string
}

variable "restore_testing" {
  description = "Whether each volume that a restore test of AWS Backup has restored is checked, and the test answered"
  type        = bool
  default     = false
}

variable "verification_instance_id" {
  description = "Where that is done, if restore_testing is true"
  type        = string
  default     = ""
}

variable "tags" {
  description = "Tags of everything that is made"
  type        = map(string)
  default     = {}
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account    = data.aws_caller_identity.current.account_id
  region     = data.aws_region.current.id
  ssm        = "arn:${data.aws_partition.current.partition}:ssm:${local.region}:${local.account}"
  ec2        = "arn:${data.aws_partition.current.partition}:ec2:${local.region}"
  definition = "${local.ssm}:automation-definition/${aws_ssm_document.verify.name}:$DEFAULT"
}

resource "aws_ssm_document" "check" {
  name            = "${var.name}-check"
  document_type   = "Command"
  document_format = "YAML"
  target_type     = "/AWS::EC2::Instance"
  content         = file("${path.module}/../../../ssm/dlm-freeze-check.yaml")
  tags            = var.tags
}

resource "aws_ssm_document" "verify" {
  name            = "${var.name}-verify"
  document_type   = "Automation"
  document_format = "YAML"
  content         = file("${path.module}/../../../ssm/dlm-freeze-verify.yaml")
  tags            = var.tags
}

data "aws_iam_policy_document" "assume_verify" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ssm.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = ["${local.ssm}:automation-execution/*"]
    }
  }
}

data "aws_iam_policy_document" "verify" {
  statement {
    sid       = "SendTheDocument"
    actions   = ["ssm:SendCommand"]
    resources = ["${local.ssm}:document/${aws_ssm_document.check.name}"]
  }

  statement {
    sid       = "ToTheInstance"
    actions   = ["ssm:SendCommand"]
    resources = ["${local.ec2}:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/dlm-freeze-verify"
      values   = ["true"]
    }
  }

  # These know no narrower resources.
  statement {
    sid       = "LookAndEnd"
    actions   = ["ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:CancelCommand", "ec2:DescribeInstances", "ec2:DescribeSnapshots", "ec2:DescribeVolumes", "backup:PutRestoreValidationResult"]
    resources = ["*"]
  }

  statement {
    sid       = "FromSnapshots"
    actions   = ["ec2:CreateVolume"]
    resources = ["${local.ec2}::snapshot/*"]
  }

  statement {
    sid       = "MakeVolumes"
    actions   = ["ec2:CreateVolume"]
    resources = ["${local.ec2}:${local.account}:volume/*"]

    condition {
      test     = "Null"
      variable = "aws:RequestTag/dlm-freeze:verify"
      values   = ["false"]
    }
  }

  statement {
    sid       = "TagThem"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.ec2}:${local.account}:volume/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["CreateVolume"]
    }
  }

  statement {
    sid       = "AttachToTheInstance"
    actions   = ["ec2:AttachVolume", "ec2:DetachVolume"]
    resources = ["${local.ec2}:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/dlm-freeze-verify"
      values   = ["true"]
    }
  }

  statement {
    sid       = "AttachThem"
    actions   = ["ec2:AttachVolume", "ec2:DetachVolume", "ec2:DeleteVolume"]
    resources = ["${local.ec2}:${local.account}:volume/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/dlm-freeze:verify"
      values   = ["false"]
    }
  }

  statement {
    sid       = "AttachRestored"
    actions   = ["ec2:AttachVolume", "ec2:DetachVolume"]
    resources = ["${local.ec2}:${local.account}:volume/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/awsbackup-restore-test"
      values   = ["false"]
    }
  }

  statement {
    sid       = "Tell"
    actions   = ["sns:Publish"]
    resources = [var.topic_arn]
  }
}

resource "aws_iam_role" "verify" {
  name_prefix        = "${var.name}-verify-"
  description        = "What the runbook that checks snapshots may do; docs/verify.md"
  assume_role_policy = data.aws_iam_policy_document.assume_verify.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "verify" {
  name   = "${var.name}-verify"
  role   = aws_iam_role.verify.id
  policy = data.aws_iam_policy_document.verify.json
}

resource "aws_cloudwatch_event_rule" "restore_test" {
  count = var.restore_testing ? 1 : 0

  name        = "${var.name}-restore-test"
  description = "A restore test of AWS Backup has restored a volume; dlm-freeze checks it"
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.backup"]
    detail-type = ["Restore Job State Change"]
    detail = {
      status                = ["COMPLETED"]
      resourceType          = ["EBS"]
      restoreTestingPlanArn = [{ exists = true }]
    }
  })
}

resource "aws_cloudwatch_event_target" "restore_test" {
  count = var.restore_testing ? 1 : 0

  rule      = aws_cloudwatch_event_rule.restore_test[0].name
  target_id = "runbook"
  arn       = local.definition
  role_arn  = aws_iam_role.restore_test[0].arn

  input_transformer {
    input_paths = {
      job    = "$.detail.restoreJobId"
      volume = "$.detail.createdResourceArn"
    }

    input_template = "{\"RestoreJobId\": [<job>], \"RestoredVolume\": [<volume>], \"InstanceId\": [\"${var.verification_instance_id}\"], \"TopicArn\": [\"${var.topic_arn}\"], \"CheckDocument\": [\"${aws_ssm_document.check.name}\"], \"AutomationAssumeRole\": [\"${aws_iam_role.verify.arn}\"]}"
  }
}

data "aws_iam_policy_document" "assume_restore_test" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

data "aws_iam_policy_document" "restore_test" {
  statement {
    sid       = "Start"
    actions   = ["ssm:StartAutomationExecution"]
    resources = [local.definition]
  }

  statement {
    sid       = "PassTheRole"
    actions   = ["iam:PassRole"]
    resources = [aws_iam_role.verify.arn]

    condition {
      test     = "StringEquals"
      variable = "iam:PassedToService"
      values   = ["ssm.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "restore_test" {
  count = var.restore_testing ? 1 : 0

  name_prefix        = "${var.name}-restore-test-"
  description        = "Starts the runbook that checks snapshots for restore tests of AWS Backup; docs/verify.md"
  assume_role_policy = data.aws_iam_policy_document.assume_restore_test.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "restore_test" {
  count = var.restore_testing ? 1 : 0

  name   = "${var.name}-restore-test"
  role   = aws_iam_role.restore_test[0].id
  policy = data.aws_iam_policy_document.restore_test.json
}

output "runbook_name" {
  description = "The runbook that checks snapshots"
  value       = aws_ssm_document.verify.name
}

output "check_document_name" {
  description = "What the runbook is given as CheckDocument"
  value       = aws_ssm_document.check.name
}

output "runbook_role_arn" {
  description = "What the runbook is given as AutomationAssumeRole"
  value       = aws_iam_role.verify.arn
}
