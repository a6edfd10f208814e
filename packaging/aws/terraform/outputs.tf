# SPDX-License-Identifier: Apache-2.0

output "document_name" {
  description = "The document that Data Lifecycle Manager calls"
  value       = aws_ssm_document.general.name
}

output "operator_document_name" {
  description = "The document for people, probe and status"
  value       = aws_ssm_document.operator.name
}

output "role_arn" {
  description = "The role of Data Lifecycle Manager, for the policies of waves"
  value       = aws_iam_role.this.arn
}

output "policy_id" {
  description = "The policy of Data Lifecycle Manager"
  value       = aws_dlm_lifecycle_policy.this.id
}

output "topic_arn" {
  description = "Where failures are told; subscribe to it"
  value       = aws_sns_topic.this.arn
}

output "runbook_name" {
  description = "The runbook for one point in time over several instances; null where there is none"
  value       = one(aws_ssm_document.cut[*].name)
}

output "group_document_name" {
  description = "What the runbook is given as GroupDocument; null where there is none"
  value       = one(aws_ssm_document.group[*].name)
}

output "runbook_role_arn" {
  description = "What the runbook is given as AutomationAssumeRole; null where there is none"
  value       = one(aws_iam_role.cut[*].arn)
}
