"""The store: series and points, durable, in order, and found again. Implements the engine's History, and Readable."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection, Sequence
from contextlib import aclosing
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from monitors.evaluator.blocks import seal
from monitors.evaluator.model.series import Batch, FieldType, Int32s, Series
from monitors.evaluator.points import EMPTY, Mask, Points, codes, compact, decode, encode, join, numbers
from monitors.evaluator.readable import MAX_READ_POINTS, HistorySize, TooManyPoints
from monitors.evaluator.store import catalogue, raw, sealed
from monitors.evaluator.store.moves import Moves
from monitors.evaluator.store.raw import StoredBatches
from monitors.evaluator.store.sealed import INT64, SealedPoints, Wanted
from monitors.evaluator.store.tables import RAW, batches, blocks
from monitors.evaluator.store.tables import newest as newest_table
from monitors.mesh.database import Database

T = TypeVar("T")
DELETE_BLOCKS = 50
DELETE_ROWS = 20
DELETE_OLDEST = 4
PAGE_BLOCKS = 8


class Store:
    """Series and points. `load` must have run before anything else; all methods belong to one event loop."""

    keeps_time, reported = False, None

    def __init__(self, database: Database) -> None:
        self._database = database
        self._types: NDArray[np.uint8] = np.empty(1_024, np.uint8)
        self._series_count = 0
        self._unread: list[Series] | None = None
        self._only_doubles = True
        self._number = 0
        self._newest_count = 0
        self._merged_to = 0
        self._moves = Moves()
        self._tidying = asyncio.Lock()

    async def load(self) -> list[Series]:
        """Learns which series there are and which batch was the last. Gives the series, by index."""
        series = await self._database.read(catalogue.all_series)
        self._learn(series)
        self._unread = series.copy()

        def last(session: Session) -> int:
            # Retention or sealing may have removed the last batch; its number must not come again.
            numbers = (session.scalar(select(func.max(table.c.number))) for table in (batches, blocks, newest_table))
            return max(number or 0 for number in numbers)

        self._number = await self._database.read(last)
        return series

    def _learn(self, series: Sequence[Series]) -> None:
        count = series[-1].index + 1 if series else 0
        if count > len(self._types):
            # A new array, since readers in other threads may hold the old one.
            self._types = np.concatenate((self._types, np.empty(max(count, 2 * len(self._types)), np.uint8)))
        if series:
            self._series_count = count
            kinds = np.array([one.type for one in series], np.uint8)
            self._types[series[0].index : count] = kinds
            self._only_doubles = self._only_doubles and bool((kinds == FieldType.FLOAT).all())

    async def series(self) -> list[Series]:
        """All series, by index. Those that `load` read come once more without being read again."""
        unread, self._unread = self._unread, None
        return await self._database.read(catalogue.all_series) if unread is None else unread

    @property
    def series_count(self) -> int:
        """How many series there are."""
        return self._series_count

    async def newest_batch(self) -> int:
        """The number of the last batch; 0 if there never was one."""
        return self._number

    async def append(self, new: Sequence[Series], accepted_at: int, points: Points) -> Batch:
        """Stores a batch together with the series that it's the first to use; durable on return."""
        number = self._number + 1
        # Before the commit, since a reader may see the batch before this coroutine goes on; by index, since after a
        # failed commit the same series come again.
        self._learn(new)

        def work(session: Session) -> None:
            if new:
                catalogue.add_series(session, new)
            raw.add_row(session, [(number, accepted_at, len(points))], points)

        await self._database.write(work)
        self._number = number
        self._newest_count += len(points)
        if self._unread is not None:
            self._unread += new
        return self._batch(number, accepted_at, points)

    def is_text(self, points: Points) -> Mask:
        """Which points hold texts."""
        if not points.texts:
            return np.zeros(len(points), np.bool_)
        mask: Mask = self._types[points.series] == FieldType.STRING
        return mask

    def numbers(self, points: Points) -> NDArray[np.float64]:
        """The points' values as the evaluation compares them: booleans as 0 and 1, texts as their codes."""
        if self._only_doubles:
            return points.values.view(np.float64)
        found = numbers(points.values, self._types[points.series])
        # What is left of other points may name none of their texts.
        if points.texts and (is_text := self.is_text(points)).any():
            found[is_text] = codes(points, is_text)
        return found

    def _batch(self, number: int, accepted_at: int, points: Points) -> Batch:
        return Batch(number, accepted_at, points.series, points.times, self.numbers(points))

    # --- reading -----------------------------------------------------------------------------------------------

    async def batches_after(self, number: int) -> AsyncIterator[Batch]:
        """All batches later than `number`, in order; sealed ones were evaluated long ago and don't come."""
        async with aclosing(self._raw(number, (), lambda stored: stored)) as pages:
            async for stored in pages:
                for batch, accepted_at, points in stored.each():
                    yield self._batch(batch, accepted_at, points)

    async def read_window(
        self, oldest: int, newest_batch: int, series: Collection[int] | None = None
    ) -> AsyncIterator[Batch]:
        """The points of time `oldest` and later from the batches up to `newest_batch`, of those series or of all.

        They come in order of arrival, as far as points of one series and time go. Batches that are stored together come
        as one, under the last one's number; what is sealed comes whatever its number is.
        """
        wanted = Wanted(oldest, INT64.max, None if series is None else _ascending(series))

        def of_block(found: SealedPoints) -> Batch:
            return self._batch(found.number, found.accepted_at, found.points)

        def of_row(stored: StoredBatches) -> Batch:
            early = stored.until(newest_batch)
            number, accepted_at, _ = early.parts[-1].tolist()
            return self._batch(number, accepted_at, wanted.pick(early.points))

        where = (batches.c.last_time >= oldest, batches.c.first_number <= newest_batch)
        async with self._moves.reading():
            ids = await self._database.read(lambda session: sealed.find(session, wanted))
            async with aclosing(self._sealed(ids, wanted, of_block)) as found:
                async for batch in found:
                    yield batch
            async with aclosing(self._raw(0, where, of_row)) as found:
                async for batch in found:
                    if len(batch.times):
                        yield batch

    async def read_series(self, indexes: Collection[int], start: int, end: int) -> Points:
        """The points of these series with start <= time <= end; of one series and time the later arrival comes later.

        Raises TooManyPoints.
        """
        wanted = Wanted(start, end, _ascending(indexes))

        def kept(points: Points) -> Points:
            return compact(points, self.is_text(points))

        where = (batches.c.last_time >= start, batches.c.first_time <= end)
        found, count = [EMPTY], 0
        async with self._moves.reading():
            ids = await self._database.read(lambda session: sealed.find(session, wanted))
            for pages in (
                self._sealed(ids, wanted, lambda block: kept(block.points)),
                self._raw(0, where, lambda stored: kept(wanted.pick(stored.points))),
            ):
                async with aclosing(pages):
                    async for points in pages:
                        count += len(points)
                        if count > MAX_READ_POINTS:
                            raise TooManyPoints
                        found.append(points)
        return await asyncio.to_thread(lambda: join(found, [self.is_text(points) for points in found]))

    async def _sealed(self, ids: Sequence[int], wanted: Wanted, pick: Callable[[SealedPoints], T]) -> AsyncGenerator[T]:
        """What those blocks hold; `pick` makes of it what's needed, off the loop."""

        def page(some: Sequence[int]) -> Callable[[Session], list[T]]:
            return lambda session: list(sealed.read(session, some, wanted, pick))

        for start in range(0, len(ids), PAGE_BLOCKS):
            for one in await self._database.read(page(ids[start : start + PAGE_BLOCKS])):
                yield one

    async def _raw(self, after: int, where: Sequence[object], pick: Callable[[StoredBatches], T]) -> AsyncGenerator[T]:
        """The rows that fit, in order, less the batches up to `after`; `pick` makes of them what's needed."""

        def page(after: int) -> Callable[[Session], tuple[int, list[T]]]:
            return lambda session: raw.page(session, after, where, pick)

        while True:
            after, found = await self._database.read(page(after))
            if not found:
                return
            for one in found:
                yield one

    async def size(self) -> HistorySize:
        """How far back the history goes and how many bytes it takes."""

        def oldest(session: Session) -> int | None:
            starts = (sealed.start(session), session.scalar(select(func.min(batches.c.first_time))))
            return min((start for start in starts if start is not None), default=None)

        return HistorySize(await self._database.read(oldest), await self._database.used_bytes())

    # --- newest points -----------------------------------------------------------------------------------------

    async def load_newest(self) -> AsyncIterator[Points]:
        """The newest point of each series when that was last saved, then everything that came after."""
        row = await self._database.read(lambda session: session.execute(select(newest_table)).one_or_none())
        number = row.number if row else 0
        if row:
            yield decode(row.points)
        self._newest_count = 0
        everything = Wanted(INT64.min, INT64.max)
        async with self._moves.reading():
            ids = await self._database.read(lambda session: sealed.later_than(session, number))
            for pages in (
                self._sealed(ids, everything, lambda block: block.points),
                self._raw(number, (), lambda stored: stored.points),
            ):
                async with aclosing(pages):
                    async for points in pages:
                        self._newest_count += len(points)
                        yield points

    @property
    def points_since_newest(self) -> int:
        """How many points have come since the newest ones were saved: what a start has to read."""
        return self._newest_count

    async def save_newest(self, number: int, points: Points) -> None:
        """Saves the newest point of each series after batch `number`, so that a start needn't read everything."""
        count = self._newest_count
        values = {"number": number, "format": RAW, "points": await asyncio.to_thread(encode, points)}

        def work(session: Session) -> None:
            known = session.scalar(select(newest_table.c.id))
            session.execute(
                update(newest_table).values(values) if known else insert(newest_table).values(id=1, **values)
            )

        await self._database.write(work)
        self._newest_count -= count

    # --- tidying -----------------------------------------------------------------------------------------------

    async def merge(self) -> bool:
        """Joins the next small rows into one, if there are many. False if there are none left."""
        async with self._tidying:
            group, merged_to = await self._database.read(lambda session: raw.next_group(session, self._merged_to))
            if group:
                parts, points = await self._database.read(lambda session: raw.read_rows(session, group[0], group[-1]))
                joined = join(points, [self.is_text(part) for part in points])

                def work(session: Session) -> None:
                    raw.delete_rows(session, group[0], group[-1])
                    raw.add_row(session, parts, joined)

                await self._database.write(work)
            more = merged_to > self._merged_to
            self._merged_to = merged_to
            return more

    async def seal_closed(self, now: int, up_to_batch: int, most_raw: int = sealed.RAW_POINTS) -> bool:
        """Seals the next points of batches up to that one that came in a closed hour. False if there are none left.

        A batch that may still be replayed must be later than `up_to_batch`. If more than `most_raw` points could be
        sealed, an open hour's are sealed too.
        """
        async with self._tidying:
            step = await self._database.read(lambda session: sealed.next_step(session, now, up_to_batch, most_raw))
            if step is None:
                return False
            _, points = await self._database.read(lambda session: raw.read_rows(session, step.first, step.last))
            types = self._types

            made = await asyncio.to_thread(lambda: list(seal(points, types)))
            async with self._moves.moving():
                await self._database.write(lambda session: sealed.replace_rows(session, step, made))
            return True

    async def delete_before(self, time: int) -> bool:
        """Deletes some points that are older than `time` with all that they're stored with. False if none are left."""

        def work(session: Session) -> bool:
            return sealed.delete_before(session, time, DELETE_BLOCKS) or raw.delete_some(
                session, batches.c.last_time < time, limit=DELETE_ROWS
            )

        async with self._tidying:
            return await self._database.write(work)

    async def delete_oldest(self) -> bool:
        """Deletes some of the oldest points: sealed ones first. False if there are none at all."""

        def work(session: Session) -> bool:
            return sealed.delete_oldest(session, DELETE_OLDEST) or raw.delete_some(session, limit=DELETE_OLDEST)

        async with self._tidying:
            return await self._database.write(work)


def _ascending(indexes: Collection[int]) -> Int32s:
    return np.unique(np.fromiter(indexes, np.int32, len(indexes)))
