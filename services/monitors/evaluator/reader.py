"""Bodies of line protocol to submissions: regular lines by whole columns, all others line by line.

What senders repeat is read once: the forms of lines (see `columns`), and whole blocks of them. Both lead straight to
the catalogue's indexes, so that only what is new costs time.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.columns import BOOLEANS, HASH, NEWLINE, Columns, Irregular, read_columns
from monitors.evaluator.lines import (
    MAX_LINE,
    BadLine,
    Head,
    LineByLine,
    Naming,
    ParsedLines,
    decode,
    end_of_line,
    parse_lines,
)
from monitors.evaluator.model.series import FieldType, Int32s, Int64s
from monitors.evaluator.numerals import Mask
from monitors.evaluator.points import EMPTY, Points, Submission, join

SMALL = 8_192
"""A body of fewer bytes is read faster line by line."""
SHORTEST_LINE = 6
BLOCK_LINES = 16_384
FORMS_BYTES = 32_000_000
BLOCKS_BYTES = 128_000_000
"""How much may be kept of the forms and of the blocks that were seen; the next one then empties what is kept."""
MAX_HEADS = 50_000
FORM_OVERHEAD, BLOCK_OVERHEAD = 300, 500
ENDS = 256

_TYPES = {"": FieldType.FLOAT, "i": FieldType.INTEGER, "u": FieldType.UNSIGNED} | {
    word.decode(): FieldType.BOOLEAN for word in BOOLEANS
}
_BlockKey = tuple[str, int, bytes, bytes]


class _Seen:
    """The series of forms and blocks that were read before, by tenant. Several threads may use it."""

    def __init__(self) -> None:
        self._forms: dict[str, dict[bytes, tuple[int, ...]]] = {}
        self._blocks: dict[_BlockKey, tuple[bytes, Int32s]] = {}
        self._heads: dict[str, dict[str, Head]] = {}
        self._forms_bytes = self._blocks_bytes = 0

    def heads(self, tenant: str) -> dict[str, Head]:
        """The heads of lines. They are counted when a body begins, and so may be more by one body's."""
        if sum(map(len, self._heads.values())) > MAX_HEADS:
            self._heads.clear()
        return self._heads.setdefault(tenant, {})

    def forms(self, tenant: str) -> dict[bytes, tuple[int, ...]]:
        """The series of each form, by field."""
        return self._forms.setdefault(tenant, {})

    def add_form(self, tenant: str, form: bytes, series: tuple[int, ...]) -> None:
        """Keeps the series of a form."""
        self._forms_bytes += len(form) + FORM_OVERHEAD
        if self._forms_bytes > FORMS_BYTES:
            self._forms.clear()
            self._forms_bytes = len(form) + FORM_OVERHEAD
        self.forms(tenant)[form] = series

    def block(self, tenant: str, forms: bytes) -> Int32s | None:
        """The series of the points of a block; None if it wasn't seen."""
        seen = self._blocks.get(_key(tenant, forms))
        return seen[1] if seen and seen[0] == forms else None

    def add_block(self, tenant: str, forms: bytes, series: Int32s) -> None:
        """Keeps the series of a block."""
        key = _key(tenant, forms)
        if key not in self._blocks:
            self._blocks_bytes += len(forms) + series.nbytes + BLOCK_OVERHEAD
        if self._blocks_bytes > BLOCKS_BYTES:
            self._blocks.clear()
            self._blocks_bytes = len(forms) + series.nbytes + BLOCK_OVERHEAD
        self._blocks[key] = forms, series


def _key(tenant: str, forms: bytes) -> _BlockKey:
    # Cheaper than a hash of everything; what has the same key is compared.
    return tenant, len(forms), forms[:ENDS], forms[-ENDS:]


class LineReader:
    """Reads bodies, in any thread. The catalogue says which series there are already; `on_head` hears of new heads."""

    def __init__(
        self, catalogue: Catalogue, on_head: Callable[[str, Head], None] = lambda _tenant, _head: None
    ) -> None:
        self._catalogue, self._on_head = catalogue, on_head
        self._seen = _Seen()

    def read(self, body: bytes, tenant: str, unit: int, now: int) -> ParsedLines:
        """The points of a body whose timestamps count in `unit` nanoseconds; a line without one is of `now`."""
        naming = Naming(tenant, self._catalogue.index_of, self._seen.heads(tenant), self._on_head)
        if len(body) <= SMALL or _is_hardly_more_than_breaks(body):
            return parse_lines(body, naming, unit, now)
        return _Reading(body, naming, self._seen, unit, now).read()


def _is_hardly_more_than_breaks(body: bytes) -> bool:
    return bool(np.count_nonzero(np.frombuffer(body, np.uint8) == NEWLINE) * SHORTEST_LINE > len(body))


class _Reading:
    """A body on its way. Lines count from 0 here."""

    def __init__(self, body: bytes, naming: Naming, seen: _Seen, unit: int, now: int) -> None:
        self._given, self._body = body, body if body.endswith(b"\n") else body + b"\n"
        self._naming, self._seen, self._unit, self._now = naming, seen, unit, now
        self._new_forms: dict[bytes, tuple[int, ...]] = {}
        characters = np.frombuffer(self._body, np.uint8)
        self._ends = np.flatnonzero(characters == NEWLINE)
        self._starts = np.append(0, self._ends[:-1] + 1)
        self._regular = (characters[self._starts] != HASH) & (self._ends - self._starts <= MAX_LINE)
        # Where lines end whose texts hold line breaks, and so go on in others.
        self._text_ends: dict[int, int] = {}
        self._continued = np.zeros(len(self._ends), np.bool_)
        self._set_apart(characters)

    def _set_apart(self, characters: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> None:
        """Finds the lines with characters that need a second look."""
        if np.count_nonzero(characters < ord(" ")) > len(self._ends):
            self._regular[self._lines_at(np.flatnonzero((characters < ord(" ")) & (characters != NEWLINE)))] = False
        is_quoted = b'"' in self._body
        if not is_quoted and b"\\" not in self._body:
            return
        lines = self._lines_at(np.flatnonzero((characters == ord('"')) | (characters == ord("\\"))))
        self._regular[lines] = False
        if not is_quoted:
            return
        last = -1
        for line in np.unique(lines).tolist():
            if line > last:
                end = end_of_line(self._given, int(self._starts[line]))
                # A backslash may take even the last line break with it.
                last = min(int(np.searchsorted(self._ends, end)), len(self._ends) - 1)
                if end > self._ends[line]:
                    self._text_ends[line] = end
                    self._regular[line : last + 1] = False
                    self._continued[line + 1 : last + 1] = True

    def _lines_at(self, places: Int64s) -> Int64s:
        lines: Int64s = np.searchsorted(self._ends, places)
        return lines

    def read(self) -> ParsedLines:
        parts = [part for start in range(0, len(self._ends), BLOCK_LINES) for part in self._read_block(start)]
        reading = LineByLine(self._naming, self._unit, self._now)
        for line in np.flatnonzero(~self._regular & ~self._continued & (self._ends > self._starts)).tolist():
            end = self._text_ends.get(line, int(self._ends[line]))
            reading.add(decode(self._body[int(self._starts[line]) : end]), line)
        odd = reading.points()
        if len(odd):
            parts.append((reading.places(), odd))
        errors = [replace(error, number=place + 1) for place, error in reading.errors]
        points = _in_order(parts)
        submission = Submission(self._naming.tenant, self._naming.definitions, points)
        return ParsedLines(submission, errors, reading.error_count)

    def _read_block(self, start: int) -> Iterator[tuple[Int64s, Points]]:
        """The points of the regular lines among the next ones, with the line of each."""
        end = min(start + BLOCK_LINES, len(self._ends))
        while True:
            lines = start + np.flatnonzero(self._regular[start:end])
            if not len(lines):
                return
            try:
                columns = read_columns(self._text_of(lines), self._unit, self._now)
                series = self._series_of(columns, len(lines))
            except Irregular as error:
                self._regular[lines[~error.regular]] = False
                continue
            of_line = columns.line_of_value
            yield lines[of_line], Points(series, columns.times[of_line], columns.values)
            return

    def _text_of(self, lines: Int64s) -> bytes:
        first, last = int(lines[0]), int(lines[-1])
        if last - first + 1 == len(lines):
            return self._body[int(self._starts[first]) : int(self._ends[last]) + 1]
        breaks = np.flatnonzero(np.diff(lines) > 1)
        firsts, lasts = np.append(lines[0], lines[breaks + 1]), np.append(lines[breaks], lines[-1])
        spans = zip(self._starts[firsts].tolist(), self._ends[lasts].tolist(), strict=True)
        return b"".join([self._body[start : end + 1] for start, end in spans])

    # --- forms -----------------------------------------------------------------------------------------------------

    def _series_of(self, columns: Columns, line_count: int) -> Int32s:
        """The series of each value. Raises Irregular."""
        tenant = self._naming.tenant
        seen = self._seen.block(tenant, columns.forms)
        if seen is not None:
            return seen
        known = self._seen.forms(tenant)
        forms = columns.forms.split(b"\n")[:-1]
        found = [known.get(form) for form in forms]
        if None in found:
            found = [series or self._series_of_form(form) for series, form in zip(found, forms, strict=True)]
        regular: Mask = np.array([series is not None for series in found], np.bool_)
        if not regular.all():
            raise Irregular(regular)
        flat = [one for series in found if series for one in series]
        result = np.array(flat, np.int32)
        if int(result.min()) >= 0:
            self._seen.add_block(tenant, columns.forms, result)
        return result

    def _series_of_form(self, form: bytes) -> tuple[int, ...] | None:
        """The series of a form that is new; None if it can't be read."""
        known = self._new_forms.get(form)
        if known is not None:
            return known
        try:
            series = self._parse_form(form.decode())
        except (BadLine, UnicodeDecodeError):
            return None
        self._new_forms[form] = series
        if min(series) >= 0:
            self._seen.add_form(self._naming.tenant, form, series)
        return series

    def _parse_form(self, form: str) -> tuple[int, ...]:
        head_text, _, fields = form.removesuffix(" ").partition(" ")
        head = self._naming.head(head_text)
        parts = [field.partition("=") for field in fields.split(",")]
        return tuple([self._naming.series(head, name, _TYPES[word]) for name, _, word in parts])


def _in_order(parts: list[tuple[Int64s, Points]]) -> Points:
    """The points of all parts in the order of their lines. Only the last part may hold texts."""
    if not parts:
        return EMPTY
    points = join([points for _, points in parts], [np.empty(0, np.bool_)] * len(parts))
    lines = np.concatenate([lines for lines, _ in parts])
    if (lines[1:] >= lines[:-1]).all():
        return points
    order = np.argsort(lines, kind="stable")
    return points.take(order)
