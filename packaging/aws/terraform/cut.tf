# SPDX-License-Identifier: Apache-2.0
# One point in time over several instances: docs/fleet.md.

resource "aws_ssm_document" "group" {
  count = var.one_point_in_time ? 1 : 0

  name            = "${var.name}-group"
  document_type   = "Command"
  document_format = "YAML"
  target_type     = "/AWS::EC2::Instance"
  content         = file("${path.module}/../../ssm/dlm-freeze-group.yaml")
  tags            = var.tags
}

resource "aws_ssm_document" "cut" {
  count = var.one_point_in_time ? 1 : 0

  name            = "${var.name}-cut"
  document_type   = "Automation"
  document_format = "YAML"
  content         = file("${path.module}/../../ssm/dlm-freeze-cut.yaml")
  tags            = var.tags
}

data "aws_iam_policy_document" "assume_cut" {
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
      values   = ["arn:${data.aws_partition.current.partition}:ssm:${local.region}:${local.account}:automation-execution/*"]
    }
  }
}

data "aws_iam_policy_document" "cut" {
  statement {
    sid       = "SendTheDocument"
    actions   = ["ssm:SendCommand"]
    resources = ["arn:${data.aws_partition.current.partition}:ssm:${local.region}:${local.account}:document/${var.name}-group"]
  }

  statement {
    sid       = "ToTaggedInstances"
    actions   = ["ssm:SendCommand"]
    resources = ["${local.ec2}:${local.account}:instance/*"]

    condition {
      test     = "StringEquals"
      variable = "ssm:resourceTag/dlm-freeze-cut"
      values   = ["true"]
    }
  }

  statement {
    sid       = "Look"
    actions   = ["ssm:ListCommands", "ssm:ListCommandInvocations", "ssm:DescribeInstanceInformation", "ec2:DescribeSnapshots"]
    resources = ["*"]
  }

  statement {
    sid       = "Snapshot"
    actions   = ["ec2:CreateSnapshots"]
    resources = ["${local.ec2}:${local.account}:instance/*", "${local.ec2}:${local.account}:volume/*", "${local.ec2}::snapshot/*"]
  }

  statement {
    sid       = "TagThem"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.ec2}::snapshot/*"]

    condition {
      test     = "StringEquals"
      variable = "ec2:CreateAction"
      values   = ["CreateSnapshots"]
    }
  }

  statement {
    sid       = "Prove"
    actions   = ["ec2:CreateTags"]
    resources = ["${local.ec2}::snapshot/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/dlm-freeze:set"
      values   = ["false"]
    }

    condition {
      test     = "ForAllValues:StringEquals"
      variable = "aws:TagKeys"
      values   = ["dlm-freeze:cut"]
    }
  }

  statement {
    sid       = "Retain"
    actions   = ["ec2:DeleteSnapshot"]
    resources = ["${local.ec2}::snapshot/*"]

    condition {
      test     = "Null"
      variable = "aws:ResourceTag/dlm-freeze:set"
      values   = ["false"]
    }
  }
}

resource "aws_iam_role" "cut" {
  count = var.one_point_in_time ? 1 : 0

  name_prefix        = "${var.name}-cut-"
  description        = "What the runbook for one point in time may do; docs/fleet.md"
  assume_role_policy = data.aws_iam_policy_document.assume_cut.json
  tags               = var.tags
}

resource "aws_iam_role_policy" "cut" {
  count = var.one_point_in_time ? 1 : 0

  name   = "${var.name}-cut"
  role   = aws_iam_role.cut[0].id
  policy = data.aws_iam_policy_document.cut.json
}
