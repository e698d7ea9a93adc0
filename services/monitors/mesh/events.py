"""Wakes whoever waits on this event loop for something that was committed."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class Changes:
    """Something that changes now and then. Take `upcoming` before looking, so that no change in between is missed.

    `tell_others` is told of each announcement, for those who wait in other processes.
    """

    def __init__(self, tell_others: Callable[[], None] | None = None) -> None:
        self._upcoming = asyncio.Event()
        self._tell_others = tell_others

    @property
    def upcoming(self) -> asyncio.Event:
        """Set at the next announcement after now."""
        return self._upcoming

    def announce(self) -> None:
        """Wakes everyone who waits. To be called on the loop, after the commit."""
        self.wake()
        if self._tell_others:
            self._tell_others()

    def wake(self) -> None:
        """Wakes those who wait in this process: somebody else has made a change, or may have."""
        self._upcoming.set()
        self._upcoming = asyncio.Event()


class Watched:
    """Changes by a key, of which there are those that somebody waits for now."""

    def __init__(self) -> None:
        self.seen: int | None = None
        """The number of the last change of which all who wait have been told or have seen it by themselves; None while
        that isn't known, as nobody waits."""
        self._changes: dict[str, Changes] = {}
        self._watchers: Counter[str] = Counter()

    @property
    def keys(self) -> list[str]:
        """What somebody waits for."""
        return list(self._changes)

    @contextmanager
    def of(self, key: str) -> Iterator[Changes]:
        """The changes of a key, for as long as somebody waits for them."""
        self._watchers[key] += 1
        try:
            yield self._changes.setdefault(key, Changes())
        finally:
            self._watchers[key] -= 1
            if not self._watchers[key]:
                del self._watchers[key], self._changes[key]

    def wake(self, keys: Iterable[str]) -> None:
        """Wakes those who wait for any of the keys."""
        for key in keys:
            if key in self._changes:
                self._changes[key].wake()


async def first_of(*events: asyncio.Event, within: float) -> None:
    """Returns when one of the events is set or `within` seconds have passed."""
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
