"""The crash test: points in, a ledger of webhooks out, and the whole mesh killed, frozen and cut off in between.

`python -m tests.crash` runs it for a seed; `test_crash.py` runs a short one.
"""
