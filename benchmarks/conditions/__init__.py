"""Conditions of all kinds: what each costs, beside Prometheus with the same ones, their changes and their backtests."""
