"""The rows of `batches`: points as they came."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from monitors.evaluator.model.series import Int64s
from monitors.evaluator.points import Points, decode, encode
from monitors.evaluator.store.tables import RAW
from monitors.evaluator.store.tables import batches as table

T = TypeVar("T")
PAGE_POINTS = 500_000
PAGE_ROWS = 1_000
MERGE_ROWS = 256
MERGE_POINTS = 65_536


@dataclass(frozen=True)
class StoredBatches:
    """A row, opened. `parts` has a line for each batch: its number, when it was accepted, how many points it has."""

    parts: Int64s
    points: Points

    def later_than(self, number: int) -> "StoredBatches":
        """Without the batches up to `number`."""
        known = self.parts[:, 0] <= number
        if not known.any():
            return self
        skipped = int(self.parts[known, 2].sum())
        return StoredBatches(self.parts[~known], self.points.take(np.arange(skipped, len(self.points))))

    def until(self, number: int) -> "StoredBatches":
        """Without the batches later than `number`."""
        if self.parts[-1, 0] <= number:
            return self
        wanted = self.parts[:, 0] <= number
        return StoredBatches(self.parts[wanted], self.points.take(np.arange(int(self.parts[wanted, 2].sum()))))

    def each(self) -> Iterator[tuple[int, int, Points]]:
        """Each batch: its number, when it was accepted, its points."""
        if len(self.parts) == 1:
            number, accepted_at, _ = self.parts[0].tolist()
            yield number, accepted_at, self.points
            return
        end = 0
        for number, accepted_at, count in self.parts.tolist():
            start, end = end, end + count
            yield number, accepted_at, self.points.take(np.arange(start, end))


def add_row(session: Session, parts: Sequence[tuple[int, int, int]], points: Points) -> None:
    """Inserts a row of one or more batches, whose parts are as in StoredBatches."""
    values = {
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
    session.execute(insert(table).values(values))


def page(session: Session, after: int, where: Sequence[Any], pick: Callable[[StoredBatches], T]) -> tuple[int, list[T]]:
    """The next rows that fit and hold batches later than `after`, less the ones up to it; and where the page ends.

    Rows may be joined between two pages. Their batches then come under a higher number, and so are either still ahead
    or, if they were read already, known by their own numbers.
    """
    fitting = (table.c.number > after, *where)
    headers = select(table.c.number, table.c.point_count).where(*fitting).order_by(table.c.number)
    last = _end_of_page(session.execute(headers.limit(PAGE_ROWS)))
    rows = select(table.c.parts, table.c.points).where(*fitting, table.c.number <= last).order_by(table.c.number)
    return last, [pick(_open(row).later_than(after)) for row in session.execute(rows)]


def read_rows(session: Session, first: int, last: int) -> tuple[list[tuple[int, int, int]], list[Points]]:
    """The parts, and the points row by row, of the rows from number `first` to `last`."""
    query = select(table.c.parts, table.c.points).where(table.c.number.between(first, last)).order_by(table.c.number)
    opened = [_open(row) for row in session.execute(query)]
    parts = [(number, at, count) for row in opened for number, at, count in row.parts.tolist()]
    return parts, [row.points for row in opened]


def delete_rows(session: Session, first: int, last: int) -> None:
    """Deletes the rows from number `first` to `last`."""
    session.execute(delete(table).where(table.c.number.between(first, last)))


def delete_some(session: Session, *where: Any, limit: int) -> bool:
    """Deletes the first rows that fit. False if there are none."""
    found = session.scalars(select(table.c.number).where(*where).order_by(table.c.number).limit(limit)).all()
    if found:
        session.execute(delete(table).where(table.c.number.in_(found)))
    return bool(found)


def next_group(session: Session, after: int) -> tuple[list[int], int]:
    """The numbers of the next rows to join into one, and up to which number the rows stay as they are by then.

    Joined are rows of one batch that follow one another, once there are so many of them that readers notice.
    """
    singles = select(table.c.number, table.c.point_count).where(
        table.c.number > after, table.c.first_number == table.c.number
    )
    headers = session.execute(singles.order_by(table.c.number).limit(PAGE_ROWS)).all()
    if len(headers) < MERGE_ROWS:
        return [], after
    group = _joinable(headers)
    return group, group[-1] if group else headers[-1].number


def _joinable(headers: Iterable[Any]) -> list[int]:
    """The first numbers, at least two, that follow one another and together aren't too many points."""
    group: list[int] = []
    total = 0
    for row in headers:
        if group and (row.number != group[-1] + 1 or total + row.point_count > MERGE_POINTS):
            if len(group) > 1:
                break
            group, total = [], 0
        group.append(row.number)
        total += row.point_count
    return group if len(group) > 1 else []


def _open(row: Any) -> StoredBatches:
    return StoredBatches(np.frombuffer(row.parts, "<i8").reshape(-1, 3), decode(row.points))


def _end_of_page(headers: Iterable[Any]) -> int:
    """The last number of a page of bounded size; 0 if there are no rows."""
    total, last = 0, 0
    for row in headers:
        total, last = total + row.point_count, row.number
        if total >= PAGE_POINTS:
            break
    return last
