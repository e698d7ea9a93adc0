"""Child processes that measure this machine and URLs, and write through the ordinary endpoint like everyone else."""
