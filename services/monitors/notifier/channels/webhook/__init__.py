"""Posts signed JSON, as Standard Webhooks 1.0 says."""
