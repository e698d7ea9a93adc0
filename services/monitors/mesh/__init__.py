"""What the three services share and that is not about alerts."""
