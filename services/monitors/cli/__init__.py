"""The `monitors` command: starts the mesh and speaks to it over the same contract as everyone else."""

import os

# gRPC's core writes to the terminal what our own messages tell better, such as that a port is taken.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
