"""The one way in: resolves series, commits what waits together, and hands it on to be evaluated, in order."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.catalogue import Catalogue, text_mask
from monitors.evaluator.model.series import Batch, FieldType, Int32s, Series
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Definition, Points, Submission, compact, join
from monitors.evaluator.store import Store
from monitors.mesh.database import storage_error
from monitors.mesh.errors import ServiceUnavailable, StorageUnavailable
from monitors.mesh.times import MINUTE, now_nanos

log = logging.getLogger(__name__)

AHEAD = 10 * MINUTE
MAX_GROUP_POINTS = 1_000_000
MAX_WAITING_POINTS = 4_000_000
FUTURE = "points more than 10 minutes ahead of the server's clock; check the sender's clock and the precision"
EXPIRED = "points beyond retention policy"


class Evaluation(Protocol):
    """Whatever evaluates points as they come."""

    def add_series(self, series: Sequence[Series]) -> None:
        """New series, before their first batch."""

    def push(self, batch: Batch) -> None:
        """A batch that has just become durable."""


class SeriesRegistry(Protocol):
    """Whoever must know of a series before its first point is taken."""

    async def report(self, tenant: str, definitions: Sequence[Definition]) -> list[FieldType | None]:
        """Registers series; answers for each the type that its field has already, if that's another one."""


@dataclass(frozen=True)
class Refusal:
    """Why points of a series weren't taken, and how many. `definition` is the place in the submission's definitions."""

    definition: int
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


@dataclass(frozen=True)
class _Waiting:
    points: Points
    is_text: NDArray[np.bool_]
    durable: asyncio.Future[None]


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
        self._registry, self._evaluation = registry, evaluation
        self._retention = retention
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting] = deque()
        self._waiting_count = 0
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
        full or too much waits already; then nothing was taken.
        """
        points, definitions = submission.points, submission.definitions
        now = now_nanos()
        timely, refusals = _timely(points, now - self._retention, now + AHEAD)
        indexes, misfits = await self._resolve(definitions, np.unique(points.series[timely]).tolist())
        mapped = indexes[points.series] if len(indexes) else points.series
        wanted = timely & (mapped >= 0)
        counts = np.bincount(points.series[timely], minlength=len(definitions))
        refusals += [Refusal(place, reason, int(counts[place])) for place, reason in misfits.items()]
        if wanted.any():
            is_text = text_mask(points.series, definitions)[wanted]
            taken = Points(mapped, points.times, points.values, points.texts).take(wanted)
            await self._wait_until_durable(compact(taken, is_text), is_text)
        written = Written(int(wanted.sum()), tuple(refusals))
        self.accepted_count += written.accepted
        self.refused_count += written.refused
        return written

    async def _resolve(self, definitions: Sequence[Definition], used: list[int]) -> tuple[Int32s, dict[int, str]]:
        """The indexes of the used definitions' series, -1 for the others, and why some can't be used."""
        new = [definitions[place] for place in used if self._catalogue.find(definitions[place]) is None]
        if new:
            await self._register(new[: self._catalogue.room(new[0].key.tenant)])
        indexes = np.full(len(definitions), -1, np.int32)
        misfits = {}
        for place in used:
            found = self._catalogue.find(definitions[place])
            if found is None:
                found = self._catalogue.add(definitions[place])
            if isinstance(found, str):
                misfits[place] = found
            else:
                indexes[place] = found.index
        return indexes, misfits

    async def _register(self, new: list[Definition]) -> None:
        # Two writers may report the same series at once: to report is idempotent, and whoever comes second finds it.
        tenant = new[0].key.tenant
        for definition, known in zip(new, await self._registry.report(tenant, new), strict=True):
            if known is not None:
                self._catalogue.learn_type(definition.key, known)

    async def _wait_until_durable(self, points: Points, is_text: NDArray[np.bool_]) -> None:
        if self._closed:
            raise ServiceUnavailable("evaluator")
        if self._waiting and self._waiting_count + len(points) > self._max_waiting:
            raise StorageUnavailable("more points wait than the disk keeps up with: try again in a few seconds")
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(points, is_text, durable))
        self._waiting_count += len(points)
        self._arrived.set()
        await durable

    async def run(self) -> None:
        """Commits until `close` was called and nothing waits any more."""
        try:
            while self._waiting or not self._closed:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    await self._commit(self._next_group())
        finally:
            self._closed = True
            for waiting in self._waiting:
                _refuse(waiting, ServiceUnavailable("evaluator"))

    def close(self) -> None:
        """Refuses new points; `run` ends when the ones that wait are durable."""
        self._closed = True
        self._arrived.set()

    def _next_group(self) -> list[_Waiting]:
        group = [self._waiting.popleft()]
        count = len(group[0].points)
        while self._waiting and count + len(self._waiting[0].points) <= MAX_GROUP_POINTS:
            group.append(self._waiting.popleft())
            count += len(group[-1].points)
        self._waiting_count -= count
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        new = self._catalogue.unsaved()
        masks = [waiting.is_text for waiting in group]
        points = join([waiting.points for waiting in group], masks)
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
        self._newest.update(points, np.concatenate(masks))
        if new:
            self._evaluation.add_series(new)
        self._evaluation.push(batch)
        for waiting in group:
            if not waiting.durable.done():
                waiting.durable.set_result(None)


def _refuse(waiting: _Waiting, error: Exception) -> None:
    if not waiting.durable.done():
        waiting.durable.set_exception(error)


def _timely(points: Points, oldest: int, newest: int) -> tuple[NDArray[np.bool_], list[Refusal]]:
    """Which points are neither expired nor from the future, and the refusals of the others."""
    timely = np.ones(len(points), np.bool_)
    refusals = []
    for reason, wrong in ((FUTURE, points.times > newest), (EXPIRED, points.times < oldest)):
        timely &= ~wrong
        counts = np.bincount(points.series[wrong])
        refusals += [Refusal(place, reason, int(counts[place])) for place in np.flatnonzero(counts).tolist()]
    return timely, refusals
