"""The embedded store: series and batches of points in a database of its own. Implements the engine's History.

A row of `batches` holds the points of one group commit, of all tenants (a point's series names its tenant). Closed
small rows are later joined into one of ten minutes that still knows its batches, so that evaluation can go on after any
of them. `format` says how `points` is encoded; 1 is raw columns (see `points.encode`).
"""

import json
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import (
    BigInteger,
    Column,
    LargeBinary,
    MetaData,
    Row,
    SmallInteger,
    String,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.orm import Session

from monitors.evaluator.model.series import Batch, FieldType, Int64s, Series, SeriesKey
from monitors.evaluator.points import EMPTY, Points, compact, decode, encode, join, numbers
from monitors.mesh.database import Database
from monitors.mesh.errors import InvalidField
from monitors.mesh.rows import insert_rows
from monitors.mesh.times import MINUTE

RAW = 1
MERGE_SPAN = 10 * MINUTE
MERGE_POINTS = 65_536
PAGE_POINTS = 500_000
PAGE_ROWS = 1_000
DELETE_ROWS = 20
MAX_READ_POINTS = 10_000_000

_metadata = MetaData()
_series = Table(
    "series",
    _metadata,
    Column("tenant_id", String(64), primary_key=True),
    Column("series_index", BigInteger, primary_key=True, autoincrement=False),
    Column("monitor_id", String(256)),
    Column("measurement", String(256)),
    Column("field", String(256)),
    Column("tags", LargeBinary),
    Column("type", SmallInteger),
)
_batches = Table(
    "batches",
    _metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("first_number", BigInteger),
    Column("accepted_at", BigInteger),
    Column("first_time", BigInteger),
    Column("last_time", BigInteger),
    Column("point_count", BigInteger),
    Column("format", SmallInteger),
    Column("parts", LargeBinary),
    Column("points", LargeBinary),
)
_newest = Table(
    "newest",
    _metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger),
    Column("format", SmallInteger),
    Column("points", LargeBinary),
)

_SERIES_COLUMNS = ("tenant_id", "series_index", "monitor_id", "measurement", "field", "tags", "type")


@dataclass(frozen=True)
class HistorySize:
    """How far back the history goes (None if it's empty), and how many bytes its points take."""

    start: int | None
    bytes: int


@dataclass(frozen=True)
class _StoredBatches:
    """A row, opened. `parts` has a line for each batch: its number, when it was accepted, how many points it has."""

    parts: Int64s
    points: Points

    def later_than(self, number: int) -> "_StoredBatches":
        """Without the batches up to `number`."""
        known = self.parts[:, 0] <= number
        if not known.any():
            return self
        skipped = int(self.parts[known, 2].sum())
        return _StoredBatches(self.parts[~known], self.points.take(np.arange(skipped, len(self.points))))

    def until(self, number: int) -> "_StoredBatches":
        """Without the batches later than `number`."""
        wanted = self.parts[:, 0] <= number
        return _StoredBatches(self.parts[wanted], self.points.take(np.arange(int(self.parts[wanted, 2].sum()))))

    def each(self) -> Iterator[tuple[int, int, Points]]:
        """Each batch: its number, when it was accepted, its points."""
        end = 0
        for number, accepted_at, count in self.parts.tolist():
            start, end = end, end + count
            yield number, accepted_at, self.points.take(np.arange(start, end))


class Store:
    """Series and points. `load` must have run before anything else."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._types: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._number = 0
        self._merged_to = 0

    async def load(self) -> list[Series]:
        """Learns which series there are and which batch was the last. Gives the series, by index."""
        series = await self.series()
        self._types = np.array([one.type for one in series], np.uint8)

        def last(session: Session) -> int:
            stored = session.scalar(select(func.max(_batches.c.number)))
            # Retention may have deleted the last batch; its number must not come again.
            return max(stored or 0, session.scalar(select(func.max(_newest.c.number))) or 0)

        self._number = await self._database.read(last)
        return series

    async def series(self) -> list[Series]:
        """All series, by index."""
        rows = await self._database.read(
            lambda session: session.execute(select(_series).order_by(_series.c.series_index)).all()
        )
        return [_to_series(row) for row in rows]

    async def newest_batch(self) -> int:
        """The number of the last batch; 0 if there never was one."""
        return self._number

    async def append(self, new: Sequence[Series], accepted_at: int, points: Points) -> Batch:
        """Stores a batch together with the series that it's the first to use; durable on return."""
        number = self._number + 1
        if new:
            # Before the commit, since a reader may see the batch before this coroutine goes on; by index, since after
            # a failed commit the same series come again.
            self._types = np.append(self._types[: new[0].index], np.array([one.type for one in new], np.uint8))

        def work(session: Session) -> None:
            insert_rows(session, _series, _SERIES_COLUMNS, [_from_series(one) for one in new])
            session.execute(insert(_batches).values(_to_row([(number, accepted_at, len(points))], points)))

        await self._database.write(work)
        self._number = number
        return self._batch(number, accepted_at, points)

    def is_text(self, points: Points) -> NDArray[np.bool_]:
        """Which points hold texts."""
        mask: NDArray[np.bool_] = self._types[points.series] == FieldType.STRING
        return mask

    def numbers(self, points: Points) -> NDArray[np.float64]:
        """The points' values as float64: booleans as 0 and 1, texts as NaN."""
        return numbers(points.values, self._types[points.series])

    def _batch(self, number: int, accepted_at: int, points: Points) -> Batch:
        return Batch(number, accepted_at, points.series, points.times, self.numbers(points))

    # --- reading -----------------------------------------------------------------------------------------------

    async def batches_after(self, number: int) -> AsyncIterator[Batch]:
        """All batches later than `number`, in order."""
        async for stored in self._stored(number):
            for batch, accepted_at, points in stored.each():
                yield self._batch(batch, accepted_at, points)

    async def read_window(self, oldest: int, newest_batch: int) -> AsyncIterator[Batch]:
        """The points of time `oldest` and later from the batches up to `newest_batch`, in order of arrival.

        Batches that are stored together come as one, under the last one's number.
        """
        async for stored in self._stored(0, _batches.c.last_time >= oldest, _batches.c.first_number <= newest_batch):
            wanted = stored.until(newest_batch)
            recent = wanted.points.take(wanted.points.times >= oldest)
            if len(recent):
                number, accepted_at, _ = wanted.parts[-1].tolist()
                yield self._batch(number, accepted_at, recent)

    async def read_series(self, indexes: Collection[int], start: int, end: int) -> Points:
        """The points of these series with start <= time <= end, in order of arrival. Raises InvalidField."""
        wanted = np.array(sorted(indexes), np.int32)

        def pick(stored: _StoredBatches) -> Points:
            points = stored.points
            chosen = np.isin(points.series, wanted) & (points.times >= start) & (points.times <= end)
            return compact(points.take(chosen), self.is_text(points)[chosen])

        found, count = [EMPTY], 0
        async for points in self._stored(0, _batches.c.last_time >= start, _batches.c.first_time <= end, opened=pick):
            count += len(points)
            if count > MAX_READ_POINTS:
                raise InvalidField(
                    "start_time",
                    f"the range holds more than {MAX_READ_POINTS:,} points of these series; "
                    "ask for a shorter time range, or name tags",
                )
            found.append(points)
        return join(found, [self.is_text(points) for points in found])

    async def _stored(
        self, after: int, *where: Any, opened: Callable[["_StoredBatches"], Any] = lambda stored: stored
    ) -> AsyncIterator[Any]:
        """The rows that fit, in order, less the batches up to `after`; `opened` turns them into answers off the loop.

        Rows may be merged between two pages. Their batches then come under a higher number, and so are either still
        ahead or, if they were read already, known by their own numbers.
        """

        def page(session: Session, after: int) -> tuple[int, list[Any]]:
            fitting = (_batches.c.number > after, *where)
            headers = select(_batches.c.number, _batches.c.point_count).where(*fitting).order_by(_batches.c.number)
            last = _end_of_page(session.execute(headers.limit(PAGE_ROWS)))
            rows = select(_batches).where(*fitting, _batches.c.number <= last).order_by(_batches.c.number)
            answers = [opened(_open(row).later_than(after)) for row in session.execute(rows)]
            return last, answers

        while True:
            last, answers = await self._database.read(lambda session, after=after: page(session, after))  # type: ignore[misc]
            if not answers:
                return
            for answer in answers:
                yield answer
            after = last

    async def size(self) -> HistorySize:
        """How far back the history goes and how many bytes it takes."""
        query = select(func.min(_batches.c.first_time), func.sum(func.length(_batches.c.points)))
        start, total = await self._database.read(lambda session: session.execute(query).one())
        return HistorySize(start, int(total or 0))

    # --- newest points -----------------------------------------------------------------------------------------

    async def load_newest(self) -> AsyncIterator[Points]:
        """The newest point of each series when that was last saved, then everything that came after."""
        saved = await self._database.read(lambda session: session.execute(select(_newest)).one_or_none())
        number = 0
        if saved:
            number = saved.number
            yield decode(saved.points)
        async for stored in self._stored(number):
            yield stored.points

    async def save_newest(self, number: int, points: Points) -> None:
        """Saves the newest point of each series after batch `number`, so that a start needn't read everything."""
        values = {"number": number, "format": RAW, "points": encode(points)}

        def work(session: Session) -> None:
            known = session.scalar(select(_newest.c.id))
            session.execute(update(_newest).values(values) if known else insert(_newest).values(id=1, **values))

        await self._database.write(work)

    # --- tidying -----------------------------------------------------------------------------------------------

    async def merge_closed(self, now: int) -> bool:
        """Joins the next small batches of one closed span of ten minutes into one row. False if there are none left.

        Batches of the last ten minutes stay as they are.
        """
        closed = (now - MERGE_SPAN) // MERGE_SPAN * MERGE_SPAN

        def work(session: Session) -> tuple[int, bool]:
            singles = select(_batches.c.number, _batches.c.accepted_at, _batches.c.point_count).where(
                _batches.c.number > self._merged_to,
                _batches.c.first_number == _batches.c.number,
                _batches.c.accepted_at < closed,
            )
            group = _mergeable(session.execute(singles.order_by(_batches.c.number).limit(PAGE_ROWS)))
            if len(group) > 1:
                self._merge(session, group)
            return (group[-1], True) if group else (self._merged_to, False)

        self._merged_to, more = await self._database.write(work)
        return more

    def _merge(self, session: Session, group: list[int]) -> None:
        chosen = _batches.c.number.between(group[0], group[-1])
        rows = session.execute(select(_batches).where(chosen).order_by(_batches.c.number)).all()
        points = [decode(row.points) for row in rows]
        parts = [(row.number, row.accepted_at, row.point_count) for row in rows]
        session.execute(delete(_batches).where(chosen))
        merged = join(points, [self.is_text(part) for part in points])
        session.execute(insert(_batches).values(_to_row(parts, merged)))

    async def delete_before(self, time: int) -> bool:
        """Deletes some batches whose points are all older than `time`. False if there are none left."""

        def work(session: Session) -> bool:
            old = select(_batches.c.number).where(_batches.c.last_time < time).limit(DELETE_ROWS)
            found = session.scalars(old).all()
            if found:
                session.execute(delete(_batches).where(_batches.c.number.in_(found)))
            return bool(found)

        return await self._database.write(work)


def _to_series(row: Row[Any]) -> Series:
    tags = tuple((name, value) for name, value in json.loads(row.tags))
    key = SeriesKey(row.tenant_id, row.monitor_id, row.measurement, row.field, tags)
    return Series(row.series_index, key, FieldType(row.type))


def _from_series(series: Series) -> tuple[str, int, str, str, str, bytes, int]:
    key = series.key
    tags = json.dumps(key.tags, ensure_ascii=False, separators=(",", ":")).encode() if key.tags else b"[]"
    return key.tenant, series.index, key.monitor, key.measurement, key.field, tags, int(series.type)


def _to_row(parts: list[tuple[int, int, int]], points: Points) -> dict[str, Any]:
    return {
        "number": parts[-1][0],
        "first_number": parts[0][0],
        "accepted_at": parts[-1][1],
        "first_time": int(points.times.min()),
        "last_time": int(points.times.max()),
        "point_count": len(points),
        "format": RAW,
        "parts": np.array(parts, "<i8").tobytes(),
        "points": encode(points),
    }


def _open(row: Row[Any]) -> _StoredBatches:
    return _StoredBatches(np.frombuffer(row.parts, "<i8").reshape(-1, 3), decode(row.points))


def _mergeable(headers: Iterable[Row[Any]]) -> list[int]:
    """The numbers, from the first on, that follow one another, are of one span of time, and aren't too many points."""
    group: list[int] = []
    total = 0
    span = 0
    for row in headers:
        total += row.point_count
        if not group:
            span = row.accepted_at // MERGE_SPAN
        elif row.number != group[-1] + 1 or row.accepted_at // MERGE_SPAN != span or total > MERGE_POINTS:
            break
        group.append(row.number)
    return group


def _end_of_page(headers: Iterable[Row[Any]]) -> int:
    """The last number of a page of bounded size; 0 if there are no rows."""
    total, last = 0, 0
    for row in headers:
        total, last = total + row.point_count, row.number
        if total >= PAGE_POINTS:
            break
    return last
