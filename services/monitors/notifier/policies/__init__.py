"""What tenants set of who is told of their alerts, and when: silences, mute timings and the like, all of one shape."""
