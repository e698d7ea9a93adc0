"""The rows of `blocks`: points in sealed blocks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from monitors.evaluator.blocks import Block, DamagedBlock, open_block
from monitors.evaluator.model.series import Int32s, Int64s
from monitors.evaluator.points import Points, run_of
from monitors.evaluator.store import raw
from monitors.evaluator.store.tables import BLOCK, batches
from monitors.evaluator.store.tables import blocks as table
from monitors.mesh.errors import StorageUnavailable
from monitors.mesh.times import DAY, HOUR

T = TypeVar("T")
SEAL_POINTS = 2_000_000
"""So many points are sealed at once: what it takes in memory, and how long the writer is kept from commits."""
RAW_POINTS = SEAL_POINTS
"""If more could be sealed, even an open hour's are: a reader of one series has to look through all that are raw."""
GRACE = 60_000_000_000
"""An hour is closed when it has been over for so long, in nanoseconds: what comes late is sealed with it."""
INT64 = np.iinfo(np.int64)


@dataclass(frozen=True)
class Wanted:
    """Which points: from `start` to `end`, of those series (ascending) or of all."""

    start: int
    end: int
    series: Int32s | None = None

    def pick(self, points: Points) -> Points:
        """Those of the points."""
        if self.series is not None and len(points):
            points = points.take(_places(points.series, self.series))
        chosen = (points.times >= self.start) & (points.times <= self.end)
        return points if chosen.all() else points.take(chosen)

    def touches(self, first_series: int, last_series: int) -> bool:
        """Whether a block of series from the first to the last may have some."""
        if self.series is None:
            return True
        place = int(np.searchsorted(self.series, first_series))
        return place < len(self.series) and int(self.series[place]) <= last_series


def _places(series: Int32s, wanted: Int32s) -> Int64s:
    """Where points are of wanted series. In a tick of a collector each has its place, so that nobody has to look."""
    run = run_of(series)
    if run is None:
        return np.flatnonzero(np.isin(series, wanted))
    found: Int64s = wanted[(wanted >= run.start) & (wanted < run.stop)] - np.int64(run.start)
    return found


@dataclass(frozen=True)
class SealedPoints:
    """A block's points that were wanted; `number` is its last batch, which was accepted at that time."""

    number: int
    accepted_at: int
    points: Points


@dataclass(frozen=True)
class Step:
    """The rows, by number, whose points are sealed next."""

    first: int
    last: int
    accepted_at: int


def next_step(session: Session, now: int, up_to_batch: int, most_raw: int) -> Step | None:
    """What to seal next: rows up to that batch, of one hour that is closed, or of an open one if there are too many."""
    columns = batches.c.number, batches.c.first_number, batches.c.accepted_at, batches.c.point_count
    ready = select(*columns).where(batches.c.number <= up_to_batch).order_by(batches.c.number)
    total = session.scalar(select(func.sum(batches.c.point_count)).where(batches.c.number <= up_to_batch)) or 0
    early = total > most_raw
    chosen: list[Any] = []
    count = 0
    for row in session.execute(ready):
        hour = row.accepted_at // HOUR
        closed = (hour + 1) * HOUR + GRACE <= now
        count += row.point_count
        if not (closed or early) or (chosen and (count > SEAL_POINTS or hour != chosen[0].accepted_at // HOUR)):
            break
        chosen.append(row)
    return Step(chosen[0].number, chosen[-1].number, chosen[-1].accepted_at) if chosen else None


def replace_rows(session: Session, step: Step, sealed: Sequence[Block]) -> None:
    """Puts the blocks in the place of the rows whose points they hold."""
    last = session.scalar(select(func.max(table.c.id))) or 0
    session.execute(
        insert(table),
        [
            {
                "id": number,
                "number": step.last,
                "accepted_at": step.accepted_at,
                "first_time": block.first_time,
                "last_time": block.last_time,
                "first_series": block.first_series,
                "last_series": block.last_series,
                "point_count": block.point_count,
                "format": BLOCK,
                "points": block.data,
            }
            for number, block in enumerate(sealed, last + 1)
        ],
    )
    raw.delete_rows(session, step.first, step.last)


def find(session: Session, wanted: Wanted) -> list[int]:
    """The ids of the blocks that may hold such points, in order of arrival."""
    columns = table.c
    # No block is longer than a day, so that the index is read from both ends.
    query = select(columns.id, columns.first_series, columns.last_series).where(
        columns.last_time.between(wanted.start, min(wanted.end + DAY, INT64.max)), columns.first_time <= wanted.end
    )
    if wanted.series is not None:
        lowest, highest = wanted.series[[0, -1]].tolist() if len(wanted.series) else (0, -1)
        query = query.where(columns.first_series <= highest, columns.last_series >= lowest)
    return sorted(block for block, first, last in session.execute(query) if wanted.touches(first, last))


def later_than(session: Session, number: int) -> list[int]:
    """The ids of the blocks with batches later than `number`, in order of arrival."""
    return list(session.scalars(select(table.c.id).where(table.c.number > number).order_by(table.c.id)))


def read(session: Session, ids: Sequence[int], wanted: Wanted, pick: Callable[[SealedPoints], T]) -> Iterator[T]:
    """What those blocks hold of the wanted points. Blocks that were deleted meanwhile are left out."""
    columns = table.c.number, table.c.accepted_at, table.c.points
    for row in session.execute(select(*columns).where(table.c.id.in_(ids)).order_by(table.c.id)):
        try:
            points = open_block(row.points, wanted.series, wanted.start, wanted.end)
        except DamagedBlock as error:
            raise StorageUnavailable("the database is damaged: stop the service and restore a backup") from error
        if len(points):
            yield pick(SealedPoints(row.number, row.accepted_at, points))


def delete_before(session: Session, time: int, limit: int) -> bool:
    """Deletes some blocks whose points are all older than `time`. False if there are none left."""
    return _delete(session, select(table.c.id).where(table.c.last_time < time).limit(limit))


def delete_oldest(session: Session, limit: int) -> bool:
    """Deletes the blocks that end first. False if there are none."""
    return _delete(session, select(table.c.id).order_by(table.c.last_time).limit(limit))


def _delete(session: Session, query: Any) -> bool:
    found = session.scalars(query).all()
    if found:
        session.execute(delete(table).where(table.c.id.in_(found)))
    return bool(found)


def start(session: Session) -> int | None:
    """The time of the oldest sealed point."""
    earliest_end = session.scalar(select(func.min(table.c.last_time)))
    if earliest_end is None:
        return None
    # A block that begins before all others ends within a day of the one that ends first.
    among = table.c.last_time <= min(earliest_end + DAY, INT64.max)
    return int(session.execute(select(func.min(table.c.first_time)).where(among)).scalar_one())
