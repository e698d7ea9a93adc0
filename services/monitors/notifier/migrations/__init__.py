"""The versions of the notifier's schema."""
