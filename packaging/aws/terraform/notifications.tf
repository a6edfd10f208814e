# SPDX-License-Identifier: Apache-2.0

resource "aws_sns_topic" "this" {
  name         = var.name
  display_name = "dlm-freeze"
  tags         = var.tags
}

data "aws_iam_policy_document" "publish" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com", "cloudwatch.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account]
    }
  }
}

resource "aws_sns_topic_policy" "this" {
  arn    = aws_sns_topic.this.arn
  policy = data.aws_iam_policy_document.publish.json
}

resource "aws_sns_topic_subscription" "email" {
  count = var.notification_email == "" ? 0 : 1

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.notification_email
}

resource "aws_cloudwatch_event_rule" "failure" {
  for_each = local.failures

  name        = "${var.name}-${each.key}"
  description = "Exit code of dlm-freeze: ${each.key}"
  tags        = var.tags

  event_pattern = jsonencode({
    source      = ["aws.dlm"]
    detail-type = ["DLM Pre Post Script Notification"]
    detail      = each.value.detail
  })
}

resource "aws_cloudwatch_event_target" "failure" {
  for_each = local.failures

  rule      = aws_cloudwatch_event_rule.failure[each.key].name
  target_id = "topic"
  arn       = aws_sns_topic.this.arn

  # An input that an event does not have becomes an empty text.
  input_transformer {
    input_paths = {
      account  = "$.account"
      cause    = "$.detail.cause"
      instance = "$.detail.source"
      policy   = "$.detail.policy_id"
      region   = "$.region"
      result   = "$.detail.result"
      stage    = "$.detail.script_stage"
      time     = "$.time"
    }

    input_template = "\"dlm-freeze: ${each.value.message} Stage: <stage>. Result: <result>. Cause: <cause>. Instance: <instance>. Policy: <policy>. Account: <account>, <region>, at <time>. What to do: docs/operations.md, exit codes.\""
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value
  namespace           = "AWS/EBS"
  metric_name         = each.key
  dimensions          = { DLMPolicyId = aws_dlm_lifecycle_policy.this.id }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  threshold           = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.this.arn]
  tags                = var.tags
}
