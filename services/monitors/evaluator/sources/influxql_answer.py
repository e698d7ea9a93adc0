"""InfluxQL's CSV to points."""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa

from monitors.evaluator.lines import take_monitor
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Points
from monitors.evaluator.sources.columns import ARROW_TYPES, joined, nanoseconds, points_of, single
from monitors.evaluator.sources.csv_blocks import Block, Blocks, read_block
from monitors.evaluator.sources.errors import SourceUnavailable
from monitors.evaluator.sources.influxql_text import Measurement, Statement
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import Places, Row, Rows, SeriesBook

FIXED = ("name", "tags", "time")
MARK = b"name,tags,"
"""What every header begins with."""
_COLUMN = re.compile(r"(s[0-9]+)[ft][0-9]+")


class Naming:
    """Which series the columns of answers belong to. Lives as long as its source."""

    def __init__(self, book: SeriesBook) -> None:
        self._book = book
        self._rows: dict[Measurement, Rows] = {}
        self._places: dict[tuple[Measurement, str, FieldType], Places] = {}

    def begin(self) -> None:
        """Another answer follows."""
        for rows in self._rows.values():
            rows.begin()

    def rows(self, measurement: Measurement) -> Rows:
        """The different tags of a measurement."""
        return self._rows.setdefault(measurement, Rows())

    def places(self, measurement: Measurement, field: str, kind: FieldType) -> Places:
        """The series of a field."""
        found = self._places.get((measurement, field, kind))
        if found is None:

            def name(row: Row) -> SourceSeries:
                tags = {tag: value for tag, value in zip(measurement.tags, row, strict=True) if value}
                monitor = take_monitor(tags) or measurement.name
                return SourceSeries(monitor, measurement.name, field, tuple(sorted(tags.items())), kind)

            found = self._places[measurement, field, kind] = Places(self.rows(measurement), name, self._book)
        return found


class Answer:
    """Reads the answer to some statements. `complete` tells whether a section of others came after theirs."""

    def __init__(self, statements: Sequence[Statement], naming: Naming) -> None:
        self._statements = {statement.prefix: statement for statement in statements}
        self._naming = naming
        self._blocks = Blocks(MARK)
        self.complete = False

    def feed(self, piece: bytes) -> list[Points]:
        """The points that a piece completes. Raises SourceUnavailable."""
        return list(self._points(self._blocks.feed(piece)))

    def end(self) -> list[Points]:
        """The last points. Raises SourceUnavailable if the answer ends within a row."""
        return list(self._points(self._blocks.end()))

    def _points(self, blocks: Iterator[Block]) -> Iterator[Points]:
        for block in blocks:
            labels = block.header.labels
            match = _COLUMN.fullmatch(labels[-1])
            statement = self._statements.get(match.group(1)) if match else None
            if labels == ("error",):
                raise SourceUnavailable("broke off its answer with an error; its log tells which")
            if statement:
                yield self._read(block, statement)
            else:
                self.complete = True

    def _read(self, block: Block, statement: Statement) -> Points:
        measurement, prefix = statement.measurement, statement.prefix
        names = [f"{prefix}t{place}" for place in range(len(measurement.tags))]
        fields = {f"{prefix}f{place}": field for place, field in enumerate(statement.fields)}
        if block.header.labels != (*FIXED, *fields, *names):
            raise SourceUnavailable("sent an answer with other columns than were asked for")
        types = {"time": pa.int64()} | {name: ARROW_TYPES[kind] for name, (_, kind) in fields.items()}
        types |= dict.fromkeys(names, pa.string())
        table = read_block(block.body, types, list(block.header.labels))
        times = nanoseconds(single(table.column("time")))
        tags = [single(table.column(name)) for name in names]
        numbers = self._naming.rows(measurement).numbers(tags, len(times))
        return joined(
            [
                points_of(self._naming.places(measurement, field, kind).of(numbers), times, single(table.column(name)))
                for name, (field, kind) in fields.items()
            ]
        )
