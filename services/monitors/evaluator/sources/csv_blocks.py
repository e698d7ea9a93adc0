"""CSV on its way in: cut into blocks of whole rows that have one header, without looking at each row."""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

import pyarrow as pa
from pyarrow import csv as arrow_csv

from monitors.evaluator.sources.errors import SourceUnavailable

BLOCK = 1 << 20
LONGEST_ROW = 32 << 20


class Header(NamedTuple):
    """The labels of the columns and what the comments above them say, by the comment's name (`#datatype`)."""

    labels: tuple[str, ...]
    comments: tuple[tuple[str, ...], ...] = ()

    def comment(self, name: str) -> tuple[str, ...]:
        """The cells of a comment, that of the first column without its name; empty if there's no such comment."""
        return next((("", *cells[1:]) for cells in self.comments if cells[0] == name), ())


class Block(NamedTuple):
    """Whole rows under a header."""

    header: Header
    body: bytes


class Blocks:
    """Takes an answer piece by piece. It has sections, each with its own header, whose first row begins with `mark` and
    comes after an empty row.

    A row's end is a line break outside of quotes, of which there's an even number before it: a quote within a text is
    two of them.
    """

    def __init__(self, mark: bytes, size: int | None = None) -> None:
        self._mark = mark
        self._size = size or BLOCK
        self._waiting: list[bytes] = []
        self._length = 0
        self._header: Header | None = None

    def feed(self, piece: bytes) -> Iterator[Block]:
        """The blocks that a piece completes. Raises SourceUnavailable."""
        self._waiting.append(piece)
        self._length += len(piece)
        if self._length < self._size:
            return
        text = b"".join(self._waiting)
        end = _end_of_rows(text)
        if end == 0 and len(text) > LONGEST_ROW:
            raise SourceUnavailable(f"sent a row of more than {LONGEST_ROW:,} bytes, which is too long to take")
        # Whatever comes next, it isn't looked at before there's a block's worth of it.
        yield from self._take(text[:end], text[end:])

    def end(self) -> Iterator[Block]:
        """The last blocks. Raises SourceUnavailable if the answer ends within a row."""
        text = b"".join(self._waiting)
        end = _end_of_rows(text)
        yield from self._take(text[:end], text[end:])
        if self._waiting[0].strip(b"\r\n"):
            raise SourceUnavailable("broke off its answer within a row")

    def _take(self, rows: bytes, rest: bytes) -> Iterator[Block]:
        left = b""
        for number, section in enumerate(_sections(rows, self._mark)):
            if number:
                self._header, left = None, b""
            if self._header is None:
                section = section.lstrip(b"\r\n")
            if self._header is None and section:
                found = _header(section)
                if found is None:
                    left = section
                    continue
                self._header, section = found[0], section[found[1] :]
            if section and self._header is not None:
                yield Block(self._header, section)
        text = left + rest
        self._waiting, self._length = [text], len(text)


def read_block(body: bytes, types: dict[str, pa.DataType], names: list[str]) -> pa.Table:
    """The columns of `names` that `types` tells of, as Arrow reads them. Raises SourceUnavailable."""
    try:
        return _read(body, types, names)
    except pa.ArrowInvalid as error:
        # Texts may hold any bytes; what isn't UTF-8 is shown as such.
        readable = body.decode(errors="replace").encode()
        if readable == body:
            raise SourceUnavailable("sent an answer that isn't the CSV it should be") from error
    try:
        return _read(readable, types, names)
    except pa.ArrowInvalid as error:
        raise SourceUnavailable("sent an answer that isn't the CSV it should be") from error


def _read(body: bytes, types: dict[str, pa.DataType], names: list[str]) -> pa.Table:
    return arrow_csv.read_csv(
        pa.BufferReader(body),
        arrow_csv.ReadOptions(column_names=names, use_threads=False, block_size=len(body) + 1),
        arrow_csv.ParseOptions(newlines_in_values=True),
        arrow_csv.ConvertOptions(
            column_types=types, include_columns=list(types), null_values=[""], strings_can_be_null=False
        ),
    )


def _end_of_rows(text: bytes) -> int:
    """Where the last whole row ends. An empty one is left for what comes after it."""
    end = text.rfind(b"\n") + 1
    if b'"' in text:
        quotes = text.count(b'"', 0, end)
        while end and quotes % 2:
            earlier = text.rfind(b"\n", 0, end - 1) + 1
            quotes -= text.count(b'"', earlier, end)
            end = earlier
    for empty in (b"\n\r\n", b"\n\n"):
        while text.endswith(empty, 0, end):
            end -= len(empty) - 1
    return 0 if text[:end] in (b"\n", b"\r\n") else end


def _sections(rows: bytes, mark: bytes) -> Iterator[bytes]:
    """The rows of each section. The mark is looked for, since an empty row takes much longer to find."""
    start = quotes = counted = 0
    place = rows.find(mark)
    while place >= 0:
        before = rows[max(place - 3, 0) : place]
        if before.endswith((b"\n\n", b"\n\r\n")) or before in (b"\n", b"\r\n"):
            quotes += rows.count(b'"', counted, place)
            counted = place
            if quotes % 2 == 0:
                yield rows[start:place]
                start = place
        place = rows.find(mark, place + 1)
    yield rows[start:] if start else rows


def _header(section: bytes) -> tuple[Header, int] | None:
    """The header of a section and where it ends; None if not all of it is there."""
    comments, start = list[tuple[str, ...]](), 0
    while end := _end_of_row(section, start):
        cells = tuple(next(csv.reader(io.StringIO(section[start:end].decode(errors="replace"), newline=""))))
        start = end
        if not cells[0].startswith("#"):
            return Header(cells, tuple(comments)), end
        comments.append(cells)
    return None


def _end_of_row(text: bytes, start: int) -> int:
    """Where the row that begins at `start` ends; 0 if it doesn't."""
    end, quotes = start, 0
    while (found := text.find(b"\n", end) + 1) > 0:
        quotes += text.count(b'"', end, found)
        if quotes % 2 == 0:
            return found
        end = found
    return 0
