"""What a source has, as the engine and charts read it: as batches that are numbered by time."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.horizon import Horizon, Stretch
from monitors.evaluator.model.series import Batch, Floats, Series
from monitors.evaluator.model.shards import ALL_SHARDS
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import EMPTY, Mask, Points, codes, join, numbers
from monitors.evaluator.polling.acquaintance import Acquaintance
from monitors.evaluator.polling.interest import Interest
from monitors.evaluator.readable import MAX_READ_POINTS, HistorySize, TooManyPoints
from monitors.evaluator.sources.port import Selection, Source
from monitors.evaluator.turns import Turns
from monitors.mesh.errors import MeshError
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND, now_nanos

log = logging.getLogger(__name__)

BATCH_POINTS = 2_000_000
"""How many points a batch is meant to have at most."""
PAUSE = 1.0
READS_AT_ONCE, READS_OF_TENANT = 2, 1
"""How many charts, backtests and exports are read at the same time. The source has four connections: the others are for
the evaluation, which whoever asks for much mustn't keep up."""


class PolledHistory:
    """Implements the engine's History, and Readable. What the engine reads waits for the source for as long as it
    takes; charts and backtests don't. `retention` is how far back anything is looked for, in nanoseconds.
    """

    keeps_time = True

    def __init__(
        self,
        source: Source,
        acquaintance: Acquaintance,
        catalogue: Catalogue,
        interest: Interest,
        newest: Newest,
        horizon: Horizon,
        retention: int,
    ) -> None:
        self.horizon = horizon
        self.held: Callable[[], Collection[int]] = lambda: ALL_SHARDS
        """Which shards are evaluated here, or about to be."""
        self.listed = asyncio.Event()
        """Set once the source's series are known."""
        self.reading = asyncio.Lock()
        """Held from when a stretch of time is asked for until it has been handed on."""
        self.catalogue = catalogue
        self._source, self._acquaintance = source, acquaintance
        self._interest, self._newest, self._retention = interest, newest, retention
        self._turns = Turns(READS_AT_ONCE, READS_OF_TENANT)
        self._rate = BATCH_POINTS / MINUTE
        """How many points come in a nanosecond."""

    @property
    def selection(self) -> Selection:
        """What the rules of the held shards ask for."""
        return self._interest.selection(self.held())

    # --- History ---

    def reported(self, count: int) -> Booleans:
        """See History. What has points after the newest batch alone is still to come."""
        return self._newest.reported_by(self.horizon.complete_to, count)

    async def series(self) -> list[Series]:
        """See History. Waits until the source has said what it has."""
        await self.listed.wait()
        return self.catalogue.all()

    async def newest_batch(self) -> int:
        """See History."""
        return self.horizon.complete_to

    async def batches_after(self, number: int) -> AsyncGenerator[Batch]:
        """See History."""
        while number < (end := self.horizon.complete_to):
            try:
                async with aclosing(self.batches(number, end)) as found:
                    async for batch in found:
                        yield batch
                        number = batch.number
            except MeshError as error:
                await _wait_out(error)

    async def read_window(
        self, oldest: int, newest_batch: int, series: Collection[int] | None = None
    ) -> AsyncGenerator[Batch]:
        """See History. Of given series also what is on its way to the evaluation comes: it may have been asked for
        before they were wanted."""
        if series is not None:
            async with self.reading:
                newest_batch = max(newest_batch, self.horizon.complete_to)
        async with aclosing(self.read_past(oldest, newest_batch, series)) as batches:
            async for batch in batches:
                yield batch

    async def read_past(
        self,
        oldest: int,
        newest_batch: int,
        series: Collection[int] | None,
        on_error: Callable[[MeshError], None] = lambda _: None,
    ) -> AsyncGenerator[Batch]:
        """As `read_window`, for whoever holds `reading`, who then hears of what goes wrong, since no poll does."""
        selection = self.selection if series is None else self._selection_of(series)
        wanted = None if series is None else np.fromiter(series, np.int32)
        at = oldest
        while at <= newest_batch:
            until = min(newest_batch, at + DAY)
            try:
                async with aclosing(self._parts(selection, at, until)) as parts:
                    async for points in parts:
                        some = points if wanted is None else points.take(np.isin(points.series, wanted))
                        yield self._batch(newest_batch, some)
                at = until + 1
            except MeshError as error:
                # What has come comes again, and is taken once.
                on_error(error)
                await _wait_out(error)

    # --- in order ---

    async def batches(self, start: int, end: int) -> AsyncGenerator[Batch]:
        """What the rules ask for of the time (start, end], as it's to be evaluated. Raises what the source raises, and
        ServiceUnavailable if there are new series and RuleService is away."""
        for stretch in self.horizon.stretches(start, end, self._interest.reach):
            at = stretch.start
            while at < stretch.end:
                part = Stretch(at, min(stretch.end, at + self._step()), stretch.arrival)
                points = await self.read(self.selection, part.start + 1, part.end)
                self._note_rate(len(points), part.end - part.start)
                yield self._batch(part.end, points, part)
                at = part.end

    async def read(self, selection: Selection, start: int, end: int) -> Points:
        """All points of tenants in the closed range `start`..`end`."""
        found = [EMPTY]
        async with aclosing(self._parts(selection, start, end)) as parts:
            found += [points async for points in parts]
        return join(found, [self.is_text(points) for points in found])

    async def read_of(self, series: Collection[int], start: int, end: int) -> Points:
        """All points of these series in the closed range `start`..`end`."""
        points = await self.read(self._selection_of(series), start, end)
        return points.take(np.isin(points.series, np.fromiter(series, np.int32)))

    async def _parts(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        if selection.monitors == ():
            return
        async with aclosing(self._source.read(selection, start, end)) as parts:
            async for part in parts:
                yield await self._acquaintance.translate(part)

    def batch_of(self, batch: Batch, earlier: Points) -> Batch:
        """A batch with earlier points before its own."""
        return Batch(
            batch.number,
            batch.accepted_at,
            np.append(earlier.series, batch.series),
            np.append(earlier.times, batch.times),
            np.append(self.numbers(earlier), batch.values),
            batch.arrival,
        )

    def _batch(self, number: int, points: Points, stretch: Stretch | None = None) -> Batch:
        found = self.numbers(points)
        if stretch is None:
            return Batch(number, number, points.series, points.times, found)
        return Batch(number, number, points.series, points.times, found, stretch.arrival)

    def _step(self) -> int:
        return int(min(max(BATCH_POINTS / self._rate, SECOND), HOUR))

    def _note_rate(self, count: int, length: int) -> None:
        # A short time says little.
        if length >= SECOND:
            self._rate = max(count / length, BATCH_POINTS / HOUR)

    # --- Readable ---

    def is_text(self, points: Points) -> Mask:
        """See Readable."""
        return self._acquaintance.is_text(points)

    def numbers(self, points: Points) -> Floats:
        """See Readable."""
        found = numbers(points.values, self.catalogue.types_of(points.series))
        if points.texts and (is_text := self.is_text(points)).any():
            found[is_text] = codes(points, is_text)
        return found

    async def read_series(self, indexes: Collection[int], start: int, end: int) -> Points:
        """See Readable."""
        if not indexes or start > end:
            return EMPTY
        wanted, found, count = np.fromiter(indexes, np.int32), [EMPTY], 0
        tenant = self.catalogue[int(wanted[0])].key.tenant
        async with (
            self._turns.turn(tenant),
            aclosing(self._parts(self._selection_of(indexes), start, end)) as parts,
        ):
            async for points in parts:
                found.append(points.take(np.isin(points.series, wanted)))
                count += len(found[-1])
                if count > MAX_READ_POINTS:
                    raise TooManyPoints
        return join(found, [self.is_text(points) for points in found])

    def _selection_of(self, indexes: Collection[int]) -> Selection:
        keys = [self.catalogue[index].key for index in indexes]
        return Selection(
            tuple(sorted({key.monitor for key in keys})),
            tuple(sorted({key.measurement for key in keys})),
            tuple(sorted({key.field for key in keys})),
        )

    async def size(self) -> HistorySize:
        """See Readable. Nothing is on our disk, and nothing is looked for further back than it would be kept there."""
        return HistorySize(now_nanos() - self._retention, 0)


async def _wait_out(error: MeshError) -> None:
    """The poll tells people of what is wrong, and tries again as well."""
    log.debug("waiting to read again: %s", error.message)
    await asyncio.sleep(PAUSE)
