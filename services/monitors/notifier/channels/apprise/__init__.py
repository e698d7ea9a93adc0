"""Reaches other services by Apprise, in a process of its own."""
