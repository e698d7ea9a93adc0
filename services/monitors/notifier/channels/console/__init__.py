"""Prints on the terminal."""
