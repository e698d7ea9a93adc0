"""The figures of delivery, beside Debian's Alertmanager in the same run."""
