"""The soak: a mesh of three processes under an even load for a long time, and nothing of it may grow.

`python -m tests.soak --minutes 30` is the whole of it; `test_soak.py` runs two minutes at the same rates.
"""
