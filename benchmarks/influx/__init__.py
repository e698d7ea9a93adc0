"""Reading from InfluxDB: see `__main__`."""
