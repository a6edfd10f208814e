# SPDX-License-Identifier: Apache-2.0

output "document_name" {
  description = "The document that Data Lifecycle Manager calls"
  value       = aws_ssm_document.general.name
}

output "operator_document_name" {
  description = "The document for people, probe and status"
  value       = aws_ssm_document.operator.name
}

output "policy_id" {
  description = "The policy of Data Lifecycle Manager"
  value       = aws_dlm_lifecycle_policy.this.id
}

output "topic_arn" {
  description = "Where failures are told; subscribe to it"
  value       = aws_sns_topic.this.arn
}
