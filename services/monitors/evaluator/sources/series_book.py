"""Which series the rows of an answer belong to: looked up once, and then again only where the rows have changed."""

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from monitors.evaluator.model.series import Int32s
from monitors.evaluator.sources.columns import texts
from monitors.evaluator.sources.port import SourceSeries

Row = tuple[str, ...]
S = TypeVar("S", bound=Hashable)
C = TypeVar("C", bound=Hashable)
SPARE_ROWS = 100_000
"""How many rows of shapes that no longer come are kept, besides as many as there are series."""
MOST_REMEMBERED = 1_000_000
"""How many rows of an answer are kept to compare the next one with; longer answers are back-fills, that come once."""


class SeriesBook:
    """All series seen so far. A series' place never changes."""

    def __init__(self) -> None:
        self.series: list[SourceSeries] = []
        self._places: dict[SourceSeries, int] = {}

    def place(self, series: SourceSeries) -> int:
        """The place of a series, which is new or isn't."""
        place = self._places.setdefault(series, len(self.series))
        if place == len(self.series):
            self.series.append(series)
        return place


class Rows:
    """Numbers the different rows of some columns of texts, in the order of their first appearance.

    The next answer of a poll mostly has the same rows in the same order: they're compared as columns, and only what
    differs is looked up row by row.
    """

    def __init__(self) -> None:
        self.known: list[Row] = []
        self._numbers: dict[Row, int] = {}
        self._before: tuple[list[pa.ChunkedArray], Int32s] = [], np.empty(0, np.int32)
        self._parts: list[tuple[list[pa.Array], Int32s]] = []
        self._length = 0
        self.idle = False
        """Whether the last answer had none of these rows."""

    def begin(self) -> None:
        """Another answer follows: what came is what it's compared with."""
        self.idle = not self._length
        if self._parts and self._length <= MOST_REMEMBERED:
            columns = [pa.chunked_array(list(same)) for same in zip(*(part[0] for part in self._parts), strict=True)]
            self._before = columns, np.concatenate([numbers for _, numbers in self._parts])
        self._parts, self._length = [], 0

    def numbers(self, columns: Sequence[pa.Array], count: int) -> Int32s:
        """The number of each of `count` rows, whose place in `known` it is."""
        if not columns:
            return np.full(count, self._number(()), np.int32)
        start = self._length
        numbers = self._same(columns, start, start + count)
        if numbers is None:
            numbers = self._look_up(columns)
        self._length += count
        if self._length <= MOST_REMEMBERED:
            self._parts.append((list(columns), numbers))
        else:
            self._parts = []
        return numbers

    def _same(self, columns: Sequence[pa.Array], start: int, end: int) -> Int32s | None:
        before, numbers = self._before
        if end > len(numbers):
            return None
        for old, new in zip(before, columns, strict=True):
            if not old.slice(start, end - start).equals(pa.chunked_array([new])):
                return None
        return numbers[start:end]

    def _look_up(self, columns: Sequence[pa.Array]) -> Int32s:
        """Looks up each different row once."""
        key = np.zeros(len(columns[0]), np.int64)
        for column in columns:
            encoded = column.dictionary_encode()
            codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
            # Made dense again after each column, so that no product of their sizes leaves 64 bits.
            _, key = np.unique(key * max(len(encoded.dictionary), 1) + codes, return_inverse=True)
        _, first, which = np.unique(key, return_index=True, return_inverse=True)
        chosen = pa.array(first)
        rows = list(zip(*(texts(column.take(chosen)) for column in columns), strict=True))
        numbers = list(map(self._numbers.get, rows))
        if None in numbers:
            numbers = [self._number(row) for row in rows]
        found: Int32s = np.array(numbers, np.int32)[which]
        return found

    def _number(self, row: Row) -> int:
        number = self._numbers.setdefault(row, len(self.known))
        if number == len(self.known):
            self.known.append(row)
        return number


class Places:
    """The places of the series of one column of values, by the numbers of their rows."""

    def __init__(self, rows: Rows, name: Callable[[Row], SourceSeries], book: SeriesBook) -> None:
        self._rows, self._name, self._book = rows, name, book
        self._table: Int32s = np.empty(0, np.int32)

    def of(self, numbers: Int32s) -> Int32s:
        """The place of each row's series."""
        missing = len(self._rows.known) - len(self._table)
        if missing > 0:
            self._table = np.append(self._table, np.full(missing, -1, np.int32))
        places = self._table[numbers]
        if len(places) and int(places.min()) < 0:
            for number in np.unique(numbers[places < 0]).tolist():
                self._table[number] = self._book.place(self._name(self._rows.known[number]))
            places = self._table[numbers]
        return places


class Naming(Generic[S, C]):
    """Which series the rows of answers belong to. Lives as long as its source, and is used by one thread.

    Rows have a shape, which is what their columns of texts mean, and columns of values; `name` says of a row of a shape
    which series it has in a column.
    """

    def __init__(self, book: SeriesBook, name: Callable[[S, C, Row], SourceSeries]) -> None:
        self._book, self._name = book, name
        self._rows: dict[S, Rows] = {}
        self._places: dict[S, dict[C, Places]] = {}

    def begin(self) -> None:
        """Another answer follows. Shapes that come no more are forgotten when they have become many."""
        for rows in self._rows.values():
            rows.begin()
        known = sum(len(rows.known) for rows in self._rows.values())
        if known > 2 * len(self._book.series) + SPARE_ROWS:
            for shape in [shape for shape, rows in self._rows.items() if rows.idle]:
                del self._rows[shape]
                self._places.pop(shape, None)

    def rows(self, shape: S) -> Rows:
        """The different rows of a shape."""
        return self._rows.setdefault(shape, Rows())

    def places(self, shape: S, column: C) -> Places:
        """The series of a column of such rows."""
        columns = self._places.setdefault(shape, {})
        if column not in columns:
            columns[column] = Places(self.rows(shape), lambda row: self._name(shape, column, row), self._book)
        return columns[column]
