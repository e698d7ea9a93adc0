"""The `monitors` command: starts the mesh and speaks to it over the same contract as everyone else."""
