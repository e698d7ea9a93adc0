"""InfluxDB's line protocol: a body to columns, line by line; a bad line costs itself alone.

The grammar and the words of its errors are those of InfluxDB 2.7's parser (`models/points.go`): a backslash escapes a
comma, an equals sign or a space in names and tags, a quote or a backslash in texts, and is itself elsewhere; a text may
hold line breaks. All repetitions are possessive, so that no line takes more than linear time.
"""

import math
import re
from dataclasses import dataclass, field

import numpy as np

from monitors.evaluator.model.series import FieldType, SeriesKey
from monitors.evaluator.points import Definition, Points, Submission
from monitors.mesh.times import HOUR, MINUTE, SECOND

PRECISIONS = {
    "ns": 1, "n": 1, "us": 1_000, "u": 1_000, "µ": 1_000, "ms": 1_000_000, "s": SECOND, "m": MINUTE, "h": HOUR,
}  # fmt: skip
MAX_LINE = 65_536
MAX_ERRORS = 100
SHOWN = 120
INT64_MIN, INT64_MAX, UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1
# int() takes time that grows with the square of the length, and no 64-bit number is longer than this.
MAX_DIGITS = 20

# Blank lines are passed over by the search itself, so that a body of nothing else costs nothing.
_PLAIN_LINE = re.compile(r"[^\n]++")
_LINE = re.compile(r'(?!\n)(?:[^ \\\n]|\\ |\\)*+(?:[^\n="\\]|\\.|="(?:[^"\\]|\\.)*+"|=|"|\\)*+', re.DOTALL)
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


class _BadLine(Exception):
    """Why a line can't be read."""


@dataclass
class _Head:
    """A measurement with its tags, and the definitions that its fields have had so far."""

    monitor: str
    measurement: str
    tags: tuple[tuple[str, str], ...]
    slots: dict[tuple[str, FieldType], int] = field(default_factory=dict)


_Value = float | int | bool | str
_Found = list[tuple[str, FieldType, _Value]]


def parse_lines(body: bytes, tenant: str, unit: int, now: int) -> ParsedLines:
    """The points of a body whose timestamps count in `unit` nanoseconds; a line without one is of `now`."""
    text = _decode(body)
    parsing = _Parsing(text, tenant, unit, now)
    for match in (_LINE if '"' in text else _PLAIN_LINE).finditer(text):
        parsing.add(match)
    return parsing.finish()


def _decode(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body.decode(errors="surrogateescape")


class _Parsing:
    """A body on its way to columns. Values are kept by type until the end, when each type becomes an array at once."""

    def __init__(self, body: str, tenant: str, unit: int, now: int) -> None:
        self._body = body
        # Line numbers are counted only up to a bad line, from the last one on.
        self._counted_to, self._number = 0, 1
        self._tenant, self._unit, self._now = tenant, unit, now
        self._heads: dict[str, _Head] = {}
        self._definitions: list[Definition] = []
        self._series: list[int] = []
        self._times: list[int] = []
        self._values: dict[FieldType, list[_Value]] = {kind: [] for kind in FieldType}
        self._places: dict[FieldType, list[int]] = {kind: [] for kind in FieldType}
        self._errors: list[LineError] = []
        self._error_count = 0

    def add(self, match: re.Match[str]) -> None:
        """Takes the line's points, or notes what is wrong with it."""
        line = match.group().strip(" \t\r")
        if not line or line.startswith("#"):
            return
        try:
            self._add(line)
        except _BadLine as error:
            self._error_count += 1
            if len(self._errors) < MAX_ERRORS:
                self._errors.append(LineError(self._number_at(match.start()), shown(line), str(error)))

    def _number_at(self, place: int) -> int:
        self._number += self._body.count("\n", self._counted_to, place)
        self._counted_to = place
        return self._number

    def _add(self, line: str) -> None:
        if len(line) > MAX_LINE:
            raise _BadLine(f"the line has {len(line):,} characters; at most {MAX_LINE:,} are taken")
        if not line.isascii() and _SURROGATE.search(line):
            raise _BadLine("it isn't UTF-8; encode it so")
        match = _HEAD.match(line)
        head_text = match.group() if match else ""
        head = self._heads.get(head_text)
        if head is None:
            head = self._heads[head_text] = _parse_head(head_text)
        found, rest = _parse_fields(line, len(head_text))
        time = self._time(rest)
        for name, kind, value in found:
            slot = head.slots.get((name, kind))
            if slot is None:
                slot = self._define(head, name, kind)
            self._places[kind].append(len(self._times))
            self._series.append(slot)
            self._times.append(time)
            self._values[kind].append(value)

    def _define(self, head: _Head, name: str, kind: FieldType) -> int:
        key = SeriesKey(self._tenant, head.monitor, head.measurement, _unescape(name), head.tags)
        self._definitions.append(Definition(key, kind))
        slot = head.slots[name, kind] = len(self._definitions) - 1
        return slot

    def _time(self, text: str) -> int:
        text = text.strip(" ")
        if not text:
            return self._now
        if not _TIME.fullmatch(text):
            raise _BadLine("bad timestamp")
        time = int(text) * self._unit
        if not INT64_MIN + 2 <= time <= INT64_MAX - 1:
            raise _BadLine(f"time outside range {INT64_MIN + 2} - {INT64_MAX - 1}; is the precision right?")
        return time

    def finish(self) -> ParsedLines:
        """The columns of all good lines."""
        values = np.zeros(len(self._times), np.uint64)
        texts = tuple(str(text) for text in self._values[FieldType.STRING])
        for kind, dtype in (
            (FieldType.FLOAT, np.float64),
            (FieldType.INTEGER, np.int64),
            (FieldType.UNSIGNED, np.uint64),
            (FieldType.BOOLEAN, np.uint64),
        ):
            values[self._places[kind]] = np.array(self._values[kind], dtype).view(np.uint64)
        values[self._places[FieldType.STRING]] = np.arange(len(texts), dtype=np.uint64)
        points = Points(np.array(self._series, np.int32), np.array(self._times, np.int64), values, texts)
        return ParsedLines(Submission(self._definitions, points), self._errors, self._error_count)


def shown(line: str) -> str:
    """A line as an error may quote it: short, and without what a terminal would obey."""
    cut = line if len(line) <= SHOWN else f"{line[:SHOWN]}…"
    return "".join(character if character.isprintable() else "�" for character in cut)


def _unescape(name: str) -> str:
    return _NAME_ESCAPE.sub(r"\1", name) if "\\" in name else name


def _parse_head(text: str) -> _Head:
    name, *parts = _COMMA.split(text) if "\\" in text else text.split(",")
    if not name:
        raise _BadLine("missing measurement")
    measurement = _unescape(name)
    tags: dict[str, str] = {}
    for part in parts:
        key, *values = _EQUALS.split(part)
        if not key:
            raise _BadLine("missing tag key")
        if len(values) != 1 or not values[0]:
            raise _BadLine("missing tag value" if len(values) < 2 else "invalid tag format")
        if _unescape(key) in tags:
            raise _BadLine("duplicate tags")
        tags[_unescape(key)] = _unescape(values[0])
    named_by = next((tag for tag in ("monitor_id", "host") if tag in tags), None)
    monitor = tags.pop(named_by) if named_by else measurement
    return _Head(monitor, measurement, tuple(sorted(tags.items())))


def _parse_fields(line: str, start: int) -> tuple[_Found, str]:
    """The fields that begin at `start`, and what follows them."""
    place = start
    while line[place : place + 1] == " ":
        place += 1
    if place == len(line):
        raise _BadLine("missing fields")
    found: _Found = []
    while match := _FIELD.match(line, place):
        found.append(_field(match))
        place = match.end()
        if match.group()[-1] != ",":
            return found, line[place:]
    raise _BadLine(_why_no_field(line, place))


def _field(match: re.Match[str]) -> tuple[str, FieldType, _Value]:
    name, kind = match.group(1), match.lastindex
    text = match.group(kind or 1)
    if kind == 2:
        number = float(text)
        if not math.isfinite(number):
            raise _BadLine(f"unable to parse {shown(text)}: value out of range")
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
        raise _BadLine(f"unable to parse {kind} {shown(text)}: value out of range")
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
