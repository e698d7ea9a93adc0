"""Evaluates pushed points at once, ahead of the polls.

With several evaluators the points of a series may be written through any of them, and what went through another one is
here when it's polled. A point that is evaluated before an earlier one of its series has come makes that one late, and
what it would have brought about is never told. So whoever can't know that everything came this way first reads what the
source has behind the pushed points.
"""

import asyncio
import logging
from typing import Protocol

import numpy as np

from monitors.evaluator.model.series import Arrival, Batch
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.points import Points
from monitors.evaluator.polling.history import PolledHistory
from monitors.mesh.errors import MeshError
from monitors.mesh.times import now_nanos

log = logging.getLogger(__name__)


class Evaluation(Protocol):
    """Whatever evaluates batches."""

    @property
    def alone_since(self) -> int | None:
        """Since when no other evaluator has had any shard, in nanoseconds; None if one has."""

    def push(self, batch: Batch) -> None:
        """A batch that is durable."""


class RunningAhead:
    """Takes points that are in the source. What isn't evaluated ahead, for any reason, is when it's polled."""

    def __init__(self, history: PolledHistory, evaluation: Evaluation, slack: int) -> None:
        self._history, self._evaluation, self._slack = history, evaluation, slack
        self._behind = set[int]()
        """The series of which something was pushed that isn't evaluated yet."""
        self._causes: dict[str, None] = {}
        self._more = asyncio.Event()

    def take(self, points: Points, causes: tuple[str, ...] = ()) -> None:
        """Has points evaluated that were written just now, unless the polls are behind: then they wait for these.
        `causes` are as in Batch."""
        now = now_nanos()
        if not self._history.horizon.keeps_up(now, self._slack):
            return
        if self._has_all():
            self._push(points, now, causes)
            return
        held, catalogue = self._history.held(), self._history.catalogue
        for series in np.unique(points.series).tolist():
            key = catalogue[series].key
            if shard_of(key.tenant, key.monitor) in held:
                self._behind.add(series)
        if self._behind:
            self._causes |= dict.fromkeys(causes)
            self._more.set()

    def _has_all(self) -> bool:
        """Whether whatever others have taken has been polled."""
        alone_since = self._evaluation.alone_since
        return alone_since is not None and self._history.horizon.complete_to >= alone_since

    async def run(self) -> None:
        """Reads and evaluates for ever what `take` couldn't evaluate by itself, all that has come meanwhile at once."""
        while True:
            await self._more.wait()
            self._more.clear()
            series, self._behind = self._behind, set()
            causes, self._causes = tuple(self._causes), {}
            try:
                await self._read(series, now_nanos(), causes)
            except MeshError as error:
                log.debug("what was pushed is evaluated when it's polled: %s", error.message)

    async def _read(self, series: set[int], now: int, causes: tuple[str, ...]) -> None:
        points = await self._history.read_of(series, self._history.horizon.complete_to + 1, now)
        self._push(points, now, causes)

    def _push(self, points: Points, now: int, causes: tuple[str, ...]) -> None:
        found = self._history.numbers(points)
        self._evaluation.push(Batch(now, now, points.series, points.times, found, Arrival.AHEAD, causes))
