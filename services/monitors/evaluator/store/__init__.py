"""What the evaluator remembers: series and points, in a database of its own. Only here is SQLAlchemy known.

Points come as *batches*: a row holds those of one group commit, of all tenants (a point's series names its tenant), as
raw columns. Small rows are joined soon, into rows that still know their batches, so that evaluation can go on after any
of them. What is evaluated and an hour old moves into *blocks*: ordered by series, compressed, found by time and series.
"""

from monitors.evaluator.store.sealed import RAW_POINTS
from monitors.evaluator.store.store import Store

__all__ = ["RAW_POINTS", "Store"]
