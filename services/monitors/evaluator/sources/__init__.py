"""Where points come from when they aren't pushed: databases that are read, behind one port."""
