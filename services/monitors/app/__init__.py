"""Runs the services: all of them in one process (`monitors up`), or one of them (`monitors serve`)."""
