"""What the double of InfluxDB 2.x keeps: line protocol in, series out."""

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

Value = float | int | bool | str
SHARD = 7 * 86_400 * 10**9

_NAME = r"((?:[^,= \\]|\\[,= ]|\\)++)"
_HEAD = re.compile(r"((?:[^, \\]|\\[,= ]|\\)++)((?:," + _NAME + "=" + _NAME + ")*)")
_TAG = re.compile("," + _NAME + "=" + _NAME)
_FIELD = re.compile(
    _NAME + r'=(?:"((?:[^"\\]|\\.)*)"|(-?\d+)i|(\d+)u'
    r"|(true|True|TRUE|[tT]|false|False|FALSE|[fF])|(-?[0-9.]+(?:[eE][-+]?\d+)?))",
    re.DOTALL,
)
# In measurement and tags, up to the first space, a quote is a character like all others.
_LINE = re.compile(r'(?!\n)(?:[^ \\\n]|\\ |\\)*+(?:="(?:[^"\\]|\\.)*"|[^\n])*+', re.DOTALL)


class Unsigned(int):
    """A whole number of the type unsignedLong."""


class BadLine(Exception):
    """Line protocol that the server refuses; the message is the server's."""


@dataclass(frozen=True, order=True)
class Key:
    """A series."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    field: str


@dataclass
class Bucket:
    """The points, by series and time. A field has one type in a shard."""

    series: dict[Key, dict[int, Value]] = field(default_factory=dict)
    _types: dict[tuple[str, str, int], type] = field(default_factory=dict)

    def write(self, text: str, unit: int, now: int) -> list[str]:
        """Takes the points of a body; returns why some of them weren't taken. Raises BadLine."""
        points = [point for line in _LINE.findall(text) if line.strip() for point in _parse(line, unit, now)]
        refused = []
        for key, time, value in points:
            shard = time // SHARD
            known = self._types.setdefault((key.measurement, key.field, shard), type(value))
            if known is not type(value):
                refused.append(
                    f'input field "{key.field}" on measurement "{key.measurement}" is type {_go(type(value))}, '
                    f"already exists as type {_go(known)}"
                )
                continue
            self.series.setdefault(key, {})[time] = value
        return refused

    def points(self, key: Key, start: int, stop: int) -> Iterator[tuple[int, Value]]:
        """A series' points in start..stop without stop, oldest first; one shard after the other."""
        own = self.series[key]
        times = sorted(own)
        for time in times[bisect.bisect_left(times, start) : bisect.bisect_left(times, stop)]:
            yield time, own[time]


def _go(kind: type) -> str:
    return {float: "float", int: "integer", Unsigned: "unsigned", bool: "boolean", str: "string"}[kind]


def _parse(line: str, unit: int, now: int) -> Iterator[tuple[Key, int, Value]]:
    head = _HEAD.match(line)
    if head is None or line[head.end() : head.end() + 1] != " ":
        raise BadLine(f"unable to parse '{line}': missing fields")
    measurement = _unescaped(head.group(1))
    tags = tuple(sorted((_unescaped(name), _unescaped(value)) for name, value in _TAG.findall(head.group(2))))
    place, fields = head.end() + 1, list[tuple[str, Value]]()
    while match := _FIELD.match(line, place):
        fields.append((_unescaped(match.group(1)), _value(match)))
        place = match.end()
        if line[place : place + 1] != ",":
            break
        place += 1
    rest = line[place:].strip()
    if not fields or (rest and not re.fullmatch(r"-?\d+", rest)):
        raise BadLine(f"unable to parse '{line}': invalid field format")
    time = int(rest) * unit if rest else now
    for name, value in fields:
        yield Key(measurement, tags, name), time, value


def _value(match: re.Match[str]) -> Value:
    text, integer, unsigned, boolean, number = match.group(2, 3, 4, 5, 6)
    if text is not None:
        return re.sub(r'\\(["\\])', r"\1", text)
    if integer is not None:
        return int(integer)
    if unsigned is not None:
        return Unsigned(unsigned)
    return boolean[0] in "tT" if boolean else float(number)


def _unescaped(name: str) -> str:
    return re.sub(r"\\([,= ])", r"\1", name)
