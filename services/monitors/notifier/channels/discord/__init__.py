"""Posts to Discord webhooks."""
