"""What it costs to be followed: CPU seconds of a mesh that exports spans beside one that doesn't."""
