"""Which instances the last batches of transitions were about.

A large batch is decided before its turn to be written comes. What others have written meanwhile took numbers, and
mostly concerns other instances: then it needn't be decided anew.
"""

from collections import deque
from typing import NamedTuple

KEPT = 32
"""Batches. More never come between a decision and its turn."""

Instances = frozenset[tuple[str, str]]
"""Tenant and key of each."""


class _Batch(NamedTuple):
    numbers: range
    instances: Instances


class Recent:
    """The last batches, in the order of their commits. To be used by the one who writes."""

    def __init__(self) -> None:
        self._batches: deque[_Batch] = deque(maxlen=KEPT)

    def note(self, numbers: range, instances: Instances) -> None:
        """A batch was committed: the sequence numbers that it took, and all that it was about."""
        if numbers:
            self._batches.append(_Batch(numbers, instances))

    def spares(self, instances: Instances, since: int, newest: int) -> bool:
        """Whether whatever took the numbers after `since` up to `newest` is known, and is about none of the
        instances."""
        for numbers, touched in reversed(self._batches):
            if newest <= since:
                break
            if numbers[-1] != newest or not touched.isdisjoint(instances):
                return False
            newest = numbers.start - 1
        return newest == since
