"""InfluxQL's answers to points: CSV in columns, and JSON where the server's CSV can't be trusted."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from monitors.evaluator.lines import take_monitor
from monitors.evaluator.model.series import FieldType, Int64s
from monitors.evaluator.points import Points
from monitors.evaluator.sources.columns import ARROW_TYPES, joined, nanoseconds, points_of, single
from monitors.evaluator.sources.csv_blocks import LONGEST_ROW, Block, Blocks, read_block
from monitors.evaluator.sources.errors import SourceUnavailable
from monitors.evaluator.sources.influxql_text import Statement
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import Naming, Row, SeriesBook

FIXED = ("name", "tags", "time")
MARK = b"name,tags,"
"""What every header begins with."""
_COLUMN = re.compile(r"(s[0-9]+)[ft][0-9]+")


Names = Naming[tuple[str, tuple[str, ...]], tuple[str, FieldType]]


def naming(book: SeriesBook) -> Names:
    """Series by a measurement and the tags it has, and a field."""
    return Naming(book, _series_of)


def _series_of(shape: tuple[str, tuple[str, ...]], column: tuple[str, FieldType], row: Row) -> SourceSeries:
    measurement, labels = shape
    tags = {tag: value for tag, value in zip(labels, row, strict=True) if value}
    monitor = take_monitor(tags) or measurement
    return SourceSeries(monitor, measurement, column[0], tuple(sorted(tags.items())), column[1])


def _points_of(
    names: Names, statement: Statement, times: Int64s, tags: Sequence[pa.Array], fields: Sequence[pa.Array]
) -> Points:
    """The points of rows, from their columns."""
    shape = statement.measurement.name, statement.measurement.tags
    numbers = names.rows(shape).numbers(tags, len(times))
    found = []
    for field, column in zip(statement.fields, fields, strict=True):
        found.append(points_of(names.places(shape, field).of(numbers), times, column))
    return joined(found)


class Answer(Protocol):
    """Reads the answer to some statements, piece by piece. All of it raises SourceError."""

    @property
    def complete(self) -> bool:
        """Whether it's known that nothing is missing."""

    def feed(self, piece: bytes) -> list[Points]:
        """The points that a piece completes."""

    def end(self) -> list[Points]:
        """The last points."""


class CsvAnswer:
    """An answer in CSV. It's `complete` if a section of another statement came after those of `statements`."""

    def __init__(self, statements: Sequence[Statement], names: Names) -> None:
        self._statements = {statement.prefix: statement for statement in statements}
        self._names = names
        self._blocks = Blocks(MARK)
        self.complete = False

    def feed(self, piece: bytes) -> list[Points]:
        """See Answer."""
        return list(self._points(self._blocks.feed(piece)))

    def end(self) -> list[Points]:
        """See Answer."""
        return list(self._points(self._blocks.end()))

    def _points(self, blocks: Iterator[Block]) -> Iterator[Points]:
        for block in blocks:
            labels = block.header.labels
            if labels == ("error",):
                raise SourceUnavailable("broke off its answer with an error; its log tells which")
            statement = _statement_of(labels, self._statements)
            if statement:
                yield self._read(block, statement)
            else:
                self.complete = True

    def _read(self, block: Block, statement: Statement) -> Points:
        fields, tags = _names(statement)
        if block.header.labels != (*FIXED, *fields, *tags):
            raise SourceUnavailable("sent an answer with other columns than were asked for")
        types = {"time": pa.int64()} | {
            name: ARROW_TYPES[kind] for name, (_, kind) in zip(fields, statement.fields, strict=True)
        }
        types |= dict.fromkeys(tags, pa.string())
        table = read_block(block.body, types, list(block.header.labels))
        columns = {name: single(table.column(name)) for name in types}
        return _points_of(
            self._names,
            statement,
            nanoseconds(columns["time"]),
            [columns[name] for name in tags],
            [columns[name] for name in fields],
        )


class JsonAnswer:
    """An answer in JSON, one document a line, each with some rows. An error is one of its values."""

    complete = True

    def __init__(self, statements: Sequence[Statement], names: Names) -> None:
        self._statements = {statement.prefix: statement for statement in statements}
        self._names = names
        self._waiting = bytearray()

    def feed(self, piece: bytes) -> list[Points]:
        """See Answer."""
        self._waiting += piece
        *lines, rest = self._waiting.split(b"\n")
        if len(rest) > LONGEST_ROW:
            raise SourceUnavailable(f"sent more than {LONGEST_ROW:,} bytes at once, which is too much to take")
        self._waiting = rest
        return [points for line in lines if line.strip() for points in self._read(bytes(line))]

    def end(self) -> list[Points]:
        """See Answer."""
        return self.feed(b"\n")

    def _read(self, line: bytes) -> Iterator[Points]:
        for series in read_document(line):
            columns = tuple(series["columns"])
            statement = _statement_of(columns, self._statements)
            if statement is None or not {"time", *_names(statement)[0], *_names(statement)[1]} <= {*columns}:
                raise SourceUnavailable("sent an answer with other columns than were asked for")
            by_name = dict(zip(columns, zip(*series["values"], strict=True), strict=True))
            fields, tags = _names(statement)
            yield _points_of(
                self._names,
                statement,
                np.array(by_name["time"], np.int64),
                [pa.array([text or "" for text in by_name[name]], pa.string()) for name in tags],
                [_column(by_name[name], kind) for name, (_, kind) in zip(fields, statement.fields, strict=True)],
            )


def read_document(text: bytes) -> list[dict[str, Any]]:
    """The series with rows that a JSON answer holds. Raises StatementError and SourceUnavailable."""
    try:
        # Python takes a negative zero for a whole number, which has no sign then.
        document = json.loads(text, parse_int=_integer) if b"-0" in text else json.loads(text)
        for result in document["results"]:
            if "error" in result:
                raise StatementError(str(result["error"]))
        return [one for result in document["results"] for one in result.get("series", ()) if one.get("values")]
    except (ValueError, KeyError, TypeError) as error:
        raise SourceUnavailable("sent an answer that isn't the JSON it should be") from error


class StatementError(Exception):
    """What a server says is wrong with a statement, or went wrong with it."""


def _integer(text: str) -> int | float:
    return -0.0 if text == "-0" else int(text)


def _column(values: Sequence[Any], kind: FieldType) -> pa.Array:
    if kind == FieldType.FLOAT:
        values = [None if value is None else float(value) for value in values]
    elif kind in (FieldType.INTEGER, FieldType.UNSIGNED):
        values = [None if value is None else int(value) for value in values]
    return pa.array(values, ARROW_TYPES[kind])


def _statement_of(columns: Sequence[str], statements: dict[str, Statement]) -> Statement | None:
    match = _COLUMN.fullmatch(columns[-1])
    return statements.get(match.group(1)) if match else None


def _names(statement: Statement) -> tuple[list[str], list[str]]:
    """What the columns of a statement's fields and tags are named."""
    prefix, tags = statement.prefix, statement.measurement.tags
    fields = [f"{prefix}f{place}" for place in range(len(statement.fields))]
    return fields, [f"{prefix}t{place}" for place in range(len(tags))]
