"""InfluxDB's line protocol, line by line; a bad line costs itself alone. `reader` reads what is regular faster.

The grammar and the words of its errors are those of InfluxDB 2.7's parser (`models/points.go`): a backslash escapes a
comma, an equals sign or a space in names and tags, a quote or a backslash in texts, and is itself elsewhere; a text may
hold line breaks. All repetitions are possessive, so that no line takes more than linear time.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from monitors.evaluator.model.series import FieldType, Int64s, SeriesKey
from monitors.evaluator.points import Definition, Points, Submission
from monitors.mesh.times import HOUR, MINUTE, SECOND

PRECISIONS = {
    "ns": 1, "n": 1, "us": 1_000, "u": 1_000, "µ": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR,
}  # fmt: skip
MONITOR_TAGS = ("monitor_id", "host")
"""The tags that name a point's monitor; the first that it has does."""
MAX_LINE = 65_536
MAX_ERRORS = 100
SHOWN = 120
INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
# int() takes time that grows with the square of the length, and no 64-bit number is longer than this.
MAX_DIGITS = 20

# Blank lines are passed over by the search itself, so that a body of nothing else costs nothing.
_PLAIN_LINE = re.compile(r"[^\n]++")
_LINE = re.compile(r'(?!\n)(?:[^ \\\n]|\\ |\\)*+(?:[^\n="\\]|\\.|="(?:[^"\\]|\\.)*+"|=|"|\\)*+', re.DOTALL)
_LINE_OF_BYTES = re.compile(_LINE.pattern.encode(), re.DOTALL)
_HEAD = re.compile(r"(?:[^ \\]|\\ |\\)*+")
_COMMA = re.compile(r"(?<!\\),")
_EQUALS = re.compile(r"(?<!\\)=")
_KEY = r"((?:[^=, \\]|\\[=, ]|\\)++)="
_FIELD = re.compile(
    _KEY + r"(?:([-+]?(?:[0-9]++(?:\.[0-9]*+)?+|\.[0-9]++)(?:[eE][-+]?[0-9]++)?+)"
    r"|([-+]?[0-9]++)i"
    r"|([0-9]++)u"
    r"|(t|T|true|True|TRUE|f|F|false|False|FALSE)"
    r'|"((?:[^"\\]|\\.)*+)"'
    r")(?:,|(?= )|$)",
    re.DOTALL,
)
_ANY_KEY = re.compile(_KEY)
_TIME = re.compile(r"-?[0-9]{1,20}")
_NAME_ESCAPE = re.compile(r"\\([,= ])")
_TEXT_ESCAPE = re.compile(r'\\(["\\])')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class LineError:
    """A line that can't be taken. `text` is the line, cut; `number` counts from 1."""

    number: int
    text: str
    reason: str

    def __str__(self) -> str:
        return f"unable to parse '{self.text}': {self.reason} (line {self.number})"


@dataclass(frozen=True)
class ParsedLines:
    """What a body holds: the points of its good lines, and the first hundred of its bad ones."""

    submission: Submission
    errors: list[LineError]
    error_count: int


class BadLine(Exception):
    """Why a line can't be read."""


@dataclass
class Head:
    """A measurement with its tags, and the indexes that its fields have had so far. `named_by` is the tag that named
    the monitor, empty if the measurement did."""

    monitor: str
    measurement: str
    tags: tuple[tuple[str, str], ...]
    named_by: str
    indexes: dict[tuple[str, FieldType], int] = field(default_factory=dict)


class Naming:
    """Says of a body's series which they are: their indexes, or `~number` of a definition; see Submission.

    `heads` are those that were read before, with the indexes of their series; `on_head` hears of others.
    """

    def __init__(
        self,
        tenant: str,
        index_of: Callable[[Definition], int | None] = lambda _: None,
        heads: dict[str, Head] | None = None,
        on_head: Callable[[str, Head], None] = lambda _tenant, _head: None,
    ) -> None:
        self.tenant = tenant
        self.definitions: dict[int, Definition] = {}
        self._index_of = index_of
        self._heads = {} if heads is None else heads
        self._on_head = on_head
        self._new: dict[Definition, int] = {}

    def head(self, text: str) -> Head:
        """A measurement with its tags. Raises BadLine."""
        head = self._heads.get(text)
        if head is None:
            head = self._heads[text] = parse_head(text)
            self._on_head(self.tenant, head)
        return head

    def series(self, head: Head, name: str, kind: FieldType) -> int:
        """The series of a field, whose name is escaped as it came."""
        known = head.indexes.get((name, kind))
        if known is not None:
            return known
        key = SeriesKey(self.tenant, head.monitor, head.measurement, unescape(name), head.tags)
        definition = Definition(key, kind)
        number = self._new.get(definition)
        if number is not None:
            return ~number
        index = self._index_of(definition)
        if index is not None:
            head.indexes[name, kind] = index
            return index
        number = self._new[definition] = len(self.definitions)
        self.definitions[number] = definition
        return ~number


_Value = float | int | bool | str
_Found = list[tuple[str, FieldType, _Value]]


def parse_lines(body: bytes, naming: Naming, unit: int, now: int) -> ParsedLines:
    """The points of a body whose timestamps count in `unit` nanoseconds; a line without one is of `now`."""
    text = decode(body)
    reading = LineByLine(naming, unit, now)
    for match in (_LINE if '"' in text else _PLAIN_LINE).finditer(text):
        reading.add(match.group(), match.start())
    # Line numbers are counted only where there are errors, each from the last one on.
    counted_to, number, errors = 0, 1, list[LineError]()
    for start, error in reading.errors:
        number += text.count("\n", counted_to, start)
        counted_to = start
        errors.append(replace(error, number=number))
    return ParsedLines(Submission(naming.tenant, naming.definitions, reading.points()), errors, reading.error_count)


def decode(body: bytes) -> str:
    """The text of a body; bytes that aren't UTF-8 become surrogates, which cost their lines."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="surrogateescape")


def end_of_line(body: bytes, start: int) -> int:
    """Where the line that begins at `start` ends, in a body that holds quotes."""
    match = _LINE_OF_BYTES.match(body, start)
    return match.end() if match else start


class LineByLine:
    """Lines on their way to columns. Values are kept by type until the end, when each type becomes an array at once.

    `errors` holds the first hundred, each after the place of its line, as `add` was told it.
    """

    def __init__(self, naming: Naming, unit: int, now: int) -> None:
        self._naming, self._unit, self._now = naming, unit, now
        self._places: list[int] = []
        self._counts: list[int] = []
        self._series: list[int] = []
        self._times: list[int] = []
        self._values: dict[FieldType, list[_Value]] = {kind: [] for kind in FieldType}
        self._of_kind: dict[FieldType, list[int]] = {kind: [] for kind in FieldType}
        self.errors: list[tuple[int, LineError]] = []
        self.error_count = 0

    def add(self, line: str, place: int) -> None:
        """Takes the line's points, or notes what is wrong with it."""
        line = line.strip(" \t\r")
        if not line or line.startswith("#"):
            return
        try:
            self._add(line)
        except BadLine as error:
            self.error_count += 1
            if len(self.errors) < MAX_ERRORS:
                self.errors.append((place, LineError(place, shown(line), str(error))))
        else:
            self._places.append(place)
            self._counts.append(len(self._times))

    def _add(self, line: str) -> None:
        if len(line) > MAX_LINE:
            raise BadLine(f"the line has {len(line):,} characters; at most {MAX_LINE:,} are taken")
        if not line.isascii() and _SURROGATE.search(line):
            raise BadLine("it isn't UTF-8; encode it so")
        match = _HEAD.match(line)
        head_text = match.group() if match else ""
        head = self._naming.head(head_text)
        found, rest = _parse_fields(line, len(head_text))
        time = self._time(rest)
        place, known = len(self._times), head.indexes
        for name, kind, value in found:
            index = known.get((name, kind))
            self._series.append(self._naming.series(head, name, kind) if index is None else index)
            self._of_kind[kind].append(place)
            self._values[kind].append(value)
            place += 1
        self._times += [time] * len(found)

    def _time(self, text: str) -> int:
        text = text.strip(" ")
        if not text:
            return self._now
        if not _TIME.fullmatch(text):
            raise BadLine("bad timestamp")
        time = int(text) * self._unit
        if not INT64_MIN + 2 <= time <= INT64_MAX - 1:
            raise BadLine(f"time outside range {INT64_MIN + 2} - {INT64_MAX - 1}; is the precision right?")
        return time

    def points(self) -> Points:
        """The columns of all good lines."""
        values = np.zeros(len(self._times), np.uint64)
        texts = tuple(str(text) for text in self._values[FieldType.STRING])
        for kind, dtype in (
            (FieldType.FLOAT, np.float64),
            (FieldType.INTEGER, np.int64),
            (FieldType.UNSIGNED, np.uint64),
            (FieldType.BOOLEAN, np.uint64),
        ):
            values[self._of_kind[kind]] = np.array(self._values[kind], dtype).view(np.uint64)
        values[self._of_kind[FieldType.STRING]] = np.arange(len(texts), dtype=np.uint64)
        return Points(np.array(self._series, np.int32), np.array(self._times, np.int64), values, texts)

    def places(self) -> Int64s:
        """For each point the place of its line."""
        ends = np.array(self._counts, np.int64)
        counts = ends - np.append(np.int64(0), ends[:-1]) if len(ends) else ends
        return np.repeat(np.array(self._places, np.int64), counts)


def shown(line: str) -> str:
    """A line as an error may quote it: short, and without what a terminal would obey."""
    cut = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
    return "".join(character if character.isprintable() else "�" for character in cut)


def unescape(name: str) -> str:
    """A name or a tag's value without its escapes."""
    return _NAME_ESCAPE.sub(r"\1", name) if "\\" in name else name


def parse_head(text: str) -> Head:
    """A measurement and its tags. Raises BadLine."""
    name, *parts = _COMMA.split(text) if "\\" in text else text.split(",")
    if not name:
        raise BadLine("missing measurement")
    measurement = unescape(name)
    tags: dict[str, str] = {}
    for part in parts:
        key, *values = _EQUALS.split(part)
        if not key:
            raise BadLine("missing tag key")
        if len(values) != 1 or not values[0]:
            raise BadLine("missing tag value" if len(values) < 2 else "invalid tag format")
        if unescape(key) in tags:
            raise BadLine("duplicate tags")
        tags[unescape(key)] = unescape(values[0])
    named_by = tag_of_monitor(tags)
    monitor = tags.pop(named_by) if named_by else measurement
    return Head(monitor, measurement, tuple(sorted(tags.items())), named_by)


def tag_of_monitor(tags: Mapping[str, str]) -> str:
    """The tag that names a point's monitor; empty if its measurement does."""
    return next((tag for tag in MONITOR_TAGS if tag in tags), "")


def take_monitor(tags: dict[str, str]) -> str:
    """Takes the tag that names a point's monitor from its tags; empty if there's none, as then its measurement does."""
    named_by = tag_of_monitor(tags)
    return tags.pop(named_by) if named_by else ""


def _parse_fields(line: str, start: int) -> tuple[_Found, str]:
    """The fields that begin at `start`, and what follows them."""
    place = start
    while line[place : place + 1] == " ":
        place += 1
    if place == len(line):
        raise BadLine("missing fields")
    found: _Found = []
    while match := _FIELD.match(line, place):
        found.append(_field(match))
        place = match.end()
        if match.group()[-1] != ",":
            return found, line[place:]
    raise BadLine(_why_no_field(line, place))


def _field(match: re.Match[str]) -> tuple[str, FieldType, _Value]:
    name, kind = match.group(1), match.lastindex
    text = match.group(kind or 1)
    if kind == 2:
        number = float(text)
        if not math.isfinite(number):
            raise BadLine(f"unable to parse {shown(text)}: value out of range")
        return name, FieldType.FLOAT, number
    if kind == 3:
        return name, FieldType.INTEGER, _integer(text, INT64_MIN, INT64_MAX, "integer")
    if kind == 4:
        return name, FieldType.UNSIGNED, _integer(text, 0, UINT64_MAX, "unsigned")
    if kind == 5:
        return name, FieldType.BOOLEAN, text[0] in "tT"
    return name, FieldType.STRING, _TEXT_ESCAPE.sub(r"\1", text) if "\\" in text else text


def _integer(text: str, least: int, greatest: int, kind: str) -> int:
    number = int(text) if len(text) <= MAX_DIGITS else greatest + 1
    if not least <= number <= greatest:
        raise BadLine(f"unable to parse {kind} {shown(text)}: value out of range")
    return number


def _why_no_field(line: str, place: int) -> str:
    match = _ANY_KEY.match(line, place)
    if match is None:
        rest = line[place:]
        if rest.startswith("="):
            return "missing field key"
        return "invalid field format" if rest.strip() else "missing fields"
    value = line[match.end() :]
    if not value or value[0] in " ,":
        return "missing field value"
    if value[0] == '"':
        return "unbalanced quotes"
    word = value.partition(",")[0].partition(" ")[0]
    if word.lower() in ("nan", "inf", "+inf", "-inf", "infinity", "+infinity", "-infinity"):
        return "invalid number; NaN and infinity aren't taken, leave the field out"
    return "invalid boolean" if word[0] in "tTfF" else "invalid number"
