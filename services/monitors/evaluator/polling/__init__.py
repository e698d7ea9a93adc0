"""Points from a source that is polled: what the rules ask of it is read once, in order, and evaluated in its time."""
