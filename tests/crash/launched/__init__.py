"""What the launcher changes in each service, which is imported in that service's process alone."""
