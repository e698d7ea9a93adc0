"""Evaluation: how many rules, how fast, with how much memory, beside Prometheus and beside numpy."""
