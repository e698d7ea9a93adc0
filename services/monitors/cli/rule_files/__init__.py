"""Rules as files: read, compared with the mesh, applied, exported, and tried on made-up series."""
