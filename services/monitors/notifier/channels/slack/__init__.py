"""Posts to Slack incoming webhooks."""
