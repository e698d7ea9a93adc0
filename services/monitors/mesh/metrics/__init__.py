"""Metrics for Prometheus. Imported only where they are exported: without an address nothing is counted."""
