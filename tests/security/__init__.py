"""What keeps the product safe as a whole: what it depends on, and what docs/security.md says of it."""
