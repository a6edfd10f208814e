# SPDX-License-Identifier: Apache-2.0
# Many hosts: docs/fleet.md.

resource "aws_ssm_association" "probe" {
  count = var.probe_schedule == "" ? 0 : 1

  association_name    = "${var.name}-probe"
  name                = aws_ssm_document.operator.name
  parameters          = { command = "inventory" }
  schedule_expression = var.probe_schedule
  max_concurrency     = "10%"
  max_errors          = "100%"

  dynamic "targets" {
    for_each = var.target_tags

    content {
      key    = "tag:${targets.key}"
      values = [targets.value]
    }
  }
}

resource "aws_ssm_association" "upload" {
  count = var.inventory_upload ? 1 : 0

  association_name    = "${var.name}-inventory"
  name                = "AWS-GatherSoftwareInventory"
  parameters          = { customInventory = "Enabled" }
  schedule_expression = "rate(30 minutes)"

  dynamic "targets" {
    for_each = var.target_tags

    content {
      key    = "tag:${targets.key}"
      values = [targets.value]
    }
  }
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard ? 1 : 0

  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = [
      {
        type   = "metric"
        width  = 12
        height = 6
        properties = {
          title   = "Scripts of dlm-freeze that failed"
          region  = local.region
          stat    = "Sum"
          period  = 3600
          metrics = [for metric in keys(local.alarms) : ["AWS/EBS", metric, "DLMPolicyId", aws_dlm_lifecycle_policy.this.id]]
        }
      },
      {
        type   = "alarm"
        width  = 12
        height = 6
        properties = {
          title  = "Alarms of dlm-freeze"
          alarms = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]
        }
      },
    ]
  })
}
