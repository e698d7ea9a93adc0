"""Sends mail through the operator's server."""
