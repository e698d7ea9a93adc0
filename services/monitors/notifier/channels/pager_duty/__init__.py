"""Sends events to PagerDuty."""
