"""Posts to Microsoft Teams workflows."""
