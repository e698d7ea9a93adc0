"""What a rule, a condition, an alert and a lease are, and what follows from what. Pure: time is an argument."""
