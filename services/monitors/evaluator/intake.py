"""The one way in: resolves series, commits what waits together, and hands it on to be evaluated, in order."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.series import Batch, FieldType, Series
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Definition, Mask, Points, Submission, compact, join
from monitors.evaluator.registering import Registrar, SeriesRegistry
from monitors.evaluator.store import Store
from monitors.evaluator.waiting import Line
from monitors.mesh.database import storage_error
from monitors.mesh.errors import QuotaExceeded, ServiceUnavailable
from monitors.mesh.spans import current_traceparent, is_traced
from monitors.mesh.times import MINUTE, now_nanos

log = logging.getLogger(__name__)

AHEAD = 10 * MINUTE
MAX_GROUP_POINTS = 1_000_000
MAX_WAITING_POINTS = 4_000_000
TENANT_SHARE_POINTS = 100_000
"""How many points of one tenant a group takes, beyond the first of its writes, while others wait."""
RETRY_SECONDS = 5.0
FUTURE = "points more than 10 minutes ahead of the server's clock; check the sender's clock and the precision"
EXPIRED = "points beyond retention policy"


_NO_MASK = np.empty(0, np.bool_)


class Evaluation(Protocol):
    """Whatever evaluates points as they come."""

    def add_series(self, series: Sequence[Series]) -> None:
        """New series, before their first batch."""

    def push(self, batch: Batch) -> None:
        """A batch that has just become durable."""

    async def room(self) -> None:
        """Returns when more points may come."""


@dataclass(frozen=True)
class Refusal:
    """Why points of a series weren't taken, and how many. `series` names it as the submission's points do."""

    series: int
    reason: str
    count: int


@dataclass(frozen=True)
class Written:
    """What became of a submission. The points that were accepted are durable."""

    accepted: int
    refusals: tuple[Refusal, ...]

    @property
    def refused(self) -> int:
        """How many points weren't taken."""
        return sum(refusal.count for refusal in self.refusals)


class Sink(Protocol):
    """Whatever takes points. Counts are since the start; `problem` is why the last ones couldn't be taken, or empty."""

    accepted_count: int
    refused_count: int
    problem: str

    async def write(self, submission: Submission) -> Written:
        """Takes what can be taken and returns once it's durable. Raises MeshError if nothing was taken."""


@dataclass(frozen=True)
class _Waiting:
    points: Points
    durable: asyncio.Future[None]
    traceparent: str = ""

    def __len__(self) -> int:
        return len(self.points)


class Intake:
    """Takes points. `run` must be running; everything happens on one event loop."""

    def __init__(
        self,
        store: Store,
        catalogue: Catalogue,
        newest: Newest,
        registry: SeriesRegistry,
        evaluation: Evaluation,
        retention: int,
        *,
        max_waiting: int = MAX_WAITING_POINTS,
    ) -> None:
        self._store, self._catalogue, self._newest = store, catalogue, newest
        self._registrar, self._evaluation = Registrar(catalogue, registry), evaluation
        self._retention = retention
        self._is_traced = is_traced()
        self._waiting: Line[_Waiting] = Line(max_waiting)
        self._arrived = asyncio.Event()
        self._closed = False
        self.accepted_count = 0
        """Points that were taken since the start."""
        self.refused_count = 0
        """Points that were refused since the start."""
        self.problem = ""
        """Why the last points couldn't be stored; empty if they could."""

    async def write(self, submission: Submission) -> Written:
        """Takes what can be taken and returns once it's durable.

        Raises ServiceUnavailable if there are new series and RuleService is away, StorageUnavailable if the disk is
        full, QuotaExceeded if too much of the tenant's waits already; then nothing was taken.
        """
        now = now_nanos()
        points, refusals = timely(submission.points, now - self._retention, now + AHEAD)
        if len(points):
            points, misfits = await resolved(self._registrar, points, submission.definitions)
            refusals += misfits
        if len(points):
            if points.texts:
                points = compact(points, self._is_text(points))
            await self._wait_until_durable(submission.tenant, points)
        written = Written(len(points), tuple(refusals))
        self.accepted_count += written.accepted
        self.refused_count += written.refused
        return written

    def _is_text(self, points: Points) -> NDArray[np.bool_]:
        mask: NDArray[np.bool_] = self._catalogue.types_of(points.series) == FieldType.STRING
        return mask

    async def _wait_until_durable(self, tenant: str, points: Points) -> None:
        if self._closed:
            raise ServiceUnavailable("evaluator")
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        traceparent = current_traceparent() if self._is_traced else ""
        if not self._waiting.add(tenant, _Waiting(points, durable, traceparent)):
            raise QuotaExceeded(
                f"{self._waiting.count_of(tenant):,} of your points wait to be stored, which is as many as may; "
                "nothing was changed. Send fewer points a second, or try again in a few seconds",
                retry_after=RETRY_SECONDS,
            )
        self._arrived.set()
        await durable

    async def run(self) -> None:
        """Commits until `close` was called and nothing waits any more."""
        try:
            while self._waiting or not self._closed:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    # What can't be evaluated in time waits where its senders learn of it.
                    await self._evaluation.room()
                    await self._commit(self._waiting.next_group(MAX_GROUP_POINTS, TENANT_SHARE_POINTS))
        finally:
            self._closed = True
            while self._waiting:
                for waiting in self._waiting.next_group(MAX_GROUP_POINTS, TENANT_SHARE_POINTS):
                    _refuse(waiting, ServiceUnavailable("evaluator"))

    def close(self) -> None:
        """Refuses new points; `run` ends when the ones that wait are durable."""
        self._closed = True
        self._arrived.set()

    async def _commit(self, group: list[_Waiting]) -> None:
        new = self._catalogue.unsaved()
        parts = [waiting.points for waiting in group]
        points = join(parts, [self._is_text(part) if part.texts else _NO_MASK for part in parts])
        try:
            batch = await self._store.append(new, now_nanos(), points)
        except Exception as error:
            known = storage_error(error)
            if known is None:
                log.exception("a batch of %d points couldn't be stored", len(points))
            elif not self.problem:
                log.warning("points can't be stored: %s", known.message)
            self.problem = f"points can't be stored: {known.message if known else 'the log explains why'}"
            for waiting in group:
                _refuse(waiting, known or error)
            return
        self.problem = ""
        self._catalogue.mark_saved(new)
        self._newest.update(points, self._is_text(points) if points.texts else None)
        if new:
            self._evaluation.add_series(new)
        traceparents = tuple([one.traceparent for one in group if one.traceparent]) if self._is_traced else ()
        if traceparents:
            batch = replace(batch, traceparents=traceparents)
        self._evaluation.push(batch)
        for waiting in group:
            if not waiting.durable.done():
                waiting.durable.set_result(None)


def _refuse(waiting: _Waiting, error: Exception) -> None:
    if not waiting.durable.done():
        waiting.durable.set_exception(error)


def timely(points: Points, oldest: int, newest: int) -> tuple[Points, list[Refusal]]:
    """The points that are neither expired nor from the future, and the refusals of the others."""
    if not len(points) or (points.times.min() >= oldest and points.times.max() <= newest):
        return points, []
    refusals, in_time = list[Refusal](), np.ones(len(points), np.bool_)
    for reason, wrong in ((FUTURE, points.times > newest), (EXPIRED, points.times < oldest)):
        in_time &= ~wrong
        refusals += refusals_of(points, wrong, reason)
    return points.take(in_time), refusals


async def resolved(
    registrar: Registrar, points: Points, definitions: Mapping[int, Definition]
) -> tuple[Points, list[Refusal]]:
    """The points with their series' indexes, less those whose series can't be had. Raises what the registrar raises."""
    places = np.flatnonzero(points.series < 0)
    if not len(places):
        return points, []
    numbers, place_in_numbers, counts = np.unique(~points.series[places], return_inverse=True, return_counts=True)
    indexes, reasons = await registrar.find_or_add([definitions[number] for number in numbers.tolist()])
    series = points.series.copy()
    series[places] = indexes[place_in_numbers]
    found = Points(series, points.times, points.values, points.texts)
    refusals = [Refusal(~int(numbers[place]), reason, int(counts[place])) for place, reason in reasons.items()]
    return found.take(series >= 0) if refusals else found, refusals


def refusals_of(points: Points, refused: Mask, reason: str) -> list[Refusal]:
    """The refusals of some points for one reason."""
    names, counts = np.unique(points.series[refused], return_counts=True)
    return [Refusal(*one) for one in zip(names.tolist(), repeat(reason), counts.tolist())]
