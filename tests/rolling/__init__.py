"""Rolling restarts and outages of what is behind the mesh, while people and programs go on with what they do.

`python -m tests.rolling` runs all of it; `test_rollout.py` runs a short form.
"""
