# SPDX-License-Identifier: Apache-2.0
# The same as ../../central.yaml.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.22"
    }
  }
}

variable "organization_id" {
  description = "Whose accounts may send"
  type        = string

  validation {
    condition     = can(regex("^o-[a-z0-9]{10,32}$", var.organization_id))
    error_message = "organization_id is o- and 10 to 32 letters and digits."
  }
}

variable "accounts" {
  description = "The accounts that are asked about, by their numbers"
  type        = list(string)
}

variable "regions" {
  description = "The Regions that are asked about, such as eu-central-1"
  type        = list(string)
}

variable "bucket" {
  description = "The name of the bucket that is made"
  type        = string
}

variable "notification_email" {
  description = "Who is told of failures; the address has to confirm. Empty, only the topic is made"
  type        = string
  default     = ""
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  queries = "${path.module}/../../../queries"

  columns = {
    dlm_freeze           = "resourceid capturetime ready exitcode reason consistent probedat version confighash volumescovered volumesnotcovered databases dirtybytes freezeseconds timeoutseconds autothawseconds lastoutcome lastexecutionid lastendedat lastproblems lastgoodat"
    instance_tags        = "resourceid capturetime key value"
    instance_information = "resourceid capturetime computername instancestatus"
  }

  types = {
    dlm_freeze           = "Custom:DlmFreeze"
    instance_tags        = "AWS:Tag"
    instance_information = "AWS:InstanceInformation"
  }
}

resource "aws_cloudwatch_event_bus" "this" {
  name = "dlm-freeze"
}

data "aws_iam_policy_document" "bus" {
  statement {
    sid       = "organization"
    actions   = ["events:PutEvents"]
    resources = [aws_cloudwatch_event_bus.this.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:PrincipalOrgID"
      values   = [var.organization_id]
    }
  }
}

resource "aws_cloudwatch_event_bus_policy" "this" {
  event_bus_name = aws_cloudwatch_event_bus.this.name
  policy         = data.aws_iam_policy_document.bus.json
}

resource "aws_sns_topic" "this" {
  name         = "dlm-freeze"
  display_name = "dlm-freeze"
}

data "aws_iam_policy_document" "publish" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.this.arn]

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
  name           = "dlm-freeze-failure"
  description    = "A script of dlm-freeze failed somewhere in the organization"
  event_bus_name = aws_cloudwatch_event_bus.this.name

  event_pattern = jsonencode({
    source      = ["aws.dlm"]
    detail-type = ["DLM Pre Post Script Notification"]
    detail = {
      result = [{ anything-but = { equals-ignore-case = ["success", "successful", "succeeded", "completed", "started", "initiated"] } }]
    }
  })
}

resource "aws_cloudwatch_event_target" "failure" {
  rule           = aws_cloudwatch_event_rule.failure.name
  event_bus_name = aws_cloudwatch_event_bus.this.name
  target_id      = "topic"
  arn            = aws_sns_topic.this.arn

  input_transformer {
    input_paths = {
      account  = "$.account"
      cause    = "$.detail.cause"
      instance = "$.detail.source"
      region   = "$.region"
      result   = "$.detail.result"
      stage    = "$.detail.script_stage"
      time     = "$.time"
    }

    input_template = "\"dlm-freeze: a script failed. Stage: <stage>. Result: <result>. Cause: <cause>. Instance: <instance>. Account: <account>, <region>, at <time>. What to do: docs/operations.md, exit codes.\""
  }
}

resource "aws_s3_bucket" "this" {
  bucket = var.bucket
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  bucket                  = aws_s3_bucket.this.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_lifecycle_configuration" "this" {
  bucket = aws_s3_bucket.this.id

  rule {
    id     = "results"
    status = "Enabled"

    filter {
      prefix = "athena/"
    }

    expiration {
      days = 7
    }
  }
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "Look"
    actions   = ["s3:GetBucketAcl"]
    resources = [aws_s3_bucket.this.arn]

    principals {
      type        = "Service"
      identifiers = ["ssm.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceOrgID"
      values   = [var.organization_id]
    }
  }

  statement {
    sid       = "Sync"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.this.arn}/*"]

    principals {
      type        = "Service"
      identifiers = ["ssm.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceOrgID"
      values   = [var.organization_id]
    }

    condition {
      test     = "StringEquals"
      variable = "s3:x-amz-acl"
      values   = ["bucket-owner-full-control"]
    }
  }
}

resource "aws_s3_bucket_policy" "this" {
  bucket = aws_s3_bucket.this.id
  policy = data.aws_iam_policy_document.bucket.json
}

resource "aws_glue_catalog_database" "this" {
  name = "dlm_freeze"
}

resource "aws_glue_catalog_table" "this" {
  for_each = local.types

  name          = each.key
  database_name = aws_glue_catalog_database.this.name
  table_type    = "EXTERNAL_TABLE"

  parameters = {
    "projection.enabled"             = "true"
    "projection.accountid.type"      = "enum"
    "projection.accountid.values"    = join(",", var.accounts)
    "projection.region.type"         = "enum"
    "projection.region.values"       = join(",", var.regions)
    "projection.resourcetype.type"   = "enum"
    "projection.resourcetype.values" = "ManagedInstanceInventory"
    "storage.location.template"      = "s3://${aws_s3_bucket.this.id}/${each.value}/accountid=$${accountid}/region=$${region}/resourcetype=$${resourcetype}"
  }

  dynamic "partition_keys" {
    for_each = ["accountid", "region", "resourcetype"]

    content {
      name = partition_keys.value
      type = "string"
    }
  }

  storage_descriptor {
    location      = "s3://${aws_s3_bucket.this.id}/${each.value}/"
    input_format  = "org.apache.hadoop.mapred.TextInputFormat"
    output_format = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"

    ser_de_info {
      serialization_library = "org.openx.data.jsonserde.JsonSerDe"
    }

    dynamic "columns" {
      for_each = split(" ", local.columns[each.key])

      content {
        name = columns.value
        type = "string"
      }
    }
  }
}

resource "aws_athena_workgroup" "this" {
  name = "dlm-freeze"

  configuration {
    enforce_workgroup_configuration = true

    result_configuration {
      output_location = "s3://${aws_s3_bucket.this.id}/athena/"
    }
  }
}

resource "aws_athena_named_query" "this" {
  for_each = setsubtract(fileset(local.queries, "*.sql"), ["tables.sql"])

  name      = "dlm-freeze ${trimsuffix(each.key, ".sql")}"
  database  = aws_glue_catalog_database.this.name
  workgroup = aws_athena_workgroup.this.id
  query     = file("${local.queries}/${each.key}")
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = "dlm-freeze-organization"

  dashboard_body = jsonencode({
    widgets = [
      {
        type   = "metric"
        width  = 24
        height = 6
        properties = {
          title   = "Scripts of dlm-freeze that failed in the organization"
          region  = data.aws_region.current.region
          stat    = "Sum"
          period  = 3600
          metrics = [["AWS/Events", "MatchedEvents", "EventBusName", aws_cloudwatch_event_bus.this.name, "RuleName", aws_cloudwatch_event_rule.failure.name]]
        }
      },
    ]
  })
}

output "bus_arn" {
  description = "What the module member is given as bus_arn"
  value       = aws_cloudwatch_event_bus.this.arn
}

output "bucket_name" {
  description = "What the module member is given as bucket_name"
  value       = aws_s3_bucket.this.id
}

output "topic_arn" {
  description = "Where failures are told; subscribe to it"
  value       = aws_sns_topic.this.arn
}
