"""Alerting by conversation: six MCP tools, each translated into calls of RuleService."""
