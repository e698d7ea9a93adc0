"""Decides which rules fire: series and points in, transitions out. Pure: no clock, no I/O."""
