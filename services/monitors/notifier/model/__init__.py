"""What the notifier decides: which channels are right, who is told, and what follows from an attempt. Pure."""
