# SPDX-License-Identifier: Apache-2.0
# The same as ../../member.yaml.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.22"
    }
  }
}

variable "bus_arn" {
  description = "The output bus_arn of the module central"
  type        = string
}

variable "bucket_name" {
  description = "The output bucket_name of the module central"
  type        = string
}

variable "bucket_region" {
  description = "The Region of the module central"
  type        = string
}

data "aws_caller_identity" "current" {}

resource "aws_cloudwatch_event_rule" "forward" {
  name        = "dlm-freeze-forward"
  description = "What Data Lifecycle Manager says of scripts, to the central bus"

  event_pattern = jsonencode({
    source      = ["aws.dlm"]
    detail-type = ["DLM Pre Post Script Notification"]
  })
}

resource "aws_cloudwatch_event_target" "forward" {
  rule      = aws_cloudwatch_event_rule.forward.name
  target_id = "central"
  arn       = var.bus_arn
  role_arn  = aws_iam_role.forward.arn

  dead_letter_config {
    arn = aws_sqs_queue.not_forwarded.arn
  }
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
}

data "aws_iam_policy_document" "forward" {
  statement {
    actions   = ["events:PutEvents"]
    resources = [var.bus_arn]
  }
}

resource "aws_iam_role" "forward" {
  name_prefix        = "dlm-freeze-forward-"
  description        = "Lets EventBridge send to the central bus"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy" "forward" {
  name   = "forward"
  role   = aws_iam_role.forward.id
  policy = data.aws_iam_policy_document.forward.json
}

resource "aws_sqs_queue" "not_forwarded" {
  name_prefix               = "dlm-freeze-not-forwarded-"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
}

data "aws_iam_policy_document" "not_forwarded" {
  statement {
    actions   = ["sqs:SendMessage"]
    resources = [aws_sqs_queue.not_forwarded.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }

    condition {
      test     = "ArnEquals"
      variable = "aws:SourceArn"
      values   = [aws_cloudwatch_event_rule.forward.arn]
    }
  }
}

resource "aws_sqs_queue_policy" "not_forwarded" {
  queue_url = aws_sqs_queue.not_forwarded.url
  policy    = data.aws_iam_policy_document.not_forwarded.json
}

resource "aws_ssm_resource_data_sync" "this" {
  name = "dlm-freeze"

  s3_destination {
    bucket_name = var.bucket_name
    region      = var.bucket_region
    sync_format = "JsonSerDe"
  }
}

output "not_forwarded_url" {
  description = "Events that the central bus did not take"
  value       = aws_sqs_queue.not_forwarded.url
}
