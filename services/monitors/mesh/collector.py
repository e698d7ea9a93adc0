"""The garbage collector, kept out of the way while a great many objects are made that will all stay."""

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

LONGEST_SECONDS = 10.0
"""After so long the collector has its turn, even though there has always been somebody who paused it."""


class _Pauses:
    """Those that there are at present: the last of them ends what the first has begun."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._since: float | None = None
        """By the monotonic clock; None unless it's by these that the collector is off."""

    def begin(self) -> None:
        with self._lock:
            self._count += 1
            if gc.isenabled():
                gc.disable()
                self._since = time.monotonic()

    def end(self) -> None:
        with self._lock:
            self._count -= 1
            if self._since is None:
                return
            if not self._count or time.monotonic() - self._since > LONGEST_SECONDS:
                gc.enable()
                self._since = None


_PAUSES = _Pauses()


@contextmanager
def collector_paused() -> Iterator[None]:
    """No automatic collections inside: among a million new objects each would look at all of them and find nothing.
    Where several overlap, there are none until the last of them has ended."""
    _PAUSES.begin()
    try:
        yield
    finally:
        _PAUSES.end()


@contextmanager
def made_to_stay() -> Iterator[None]:
    """The same, and what was made isn't looked at later either: for what is loaded once and kept until the end."""
    with collector_paused():
        yield
        gc.freeze()
