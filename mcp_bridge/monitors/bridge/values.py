"""Durations, times and severities: forgiving to read, one canonical way to write."""

import math
import re
from datetime import UTC, datetime
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000_000
DAY = 86_400 * SECOND
_UNITS = {
    "w": 7 * DAY, "d": DAY, "h": 3_600 * SECOND,
    "m": 60 * SECOND, "s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1,
}  # fmt: skip
_UNIT_NAMES = {
    "w": "w", "week": "w", "weeks": "w", "d": "d", "day": "d", "days": "d",
    "h": "h", "hr": "h", "hrs": "h", "hour": "h", "hours": "h",
    "m": "m", "min": "m", "mins": "m", "minute": "m", "minutes": "m",
    "s": "s", "sec": "s", "secs": "s", "second": "s", "seconds": "s", "": "s",
    "ms": "ms", "msec": "ms", "millisecond": "ms", "milliseconds": "ms", "us": "us", "ns": "ns",
}  # fmt: skip
_NUMBERS = {
    "half a": "0.5", "half an": "0.5", "a": "1", "an": "1", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "fifteen": "15",
    "twenty": "20", "thirty": "30", "forty-five": "45", "sixty": "60", "ninety": "90",
}  # fmt: skip
_WORD = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})(?=\s+[a-z])")
_SINGLE = re.compile(r"(?:second|minute|hour|day|week)")
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)[\s,]*(?:and\s+)?")
_LONGEST = 366 * DAY
_LONGEST_TEXT = 100

SEVERITIES = {
    "low": "low", "info": "low", "minor": "low", "sev4": "low", "p4": "low",
    "medium": "medium", "warning": "medium", "warn": "medium", "moderate": "medium", "sev3": "medium", "p3": "medium",
    "high": "high", "error": "high", "major": "high", "sev2": "high", "p2": "high",
    "critical": "critical", "crit": "critical", "fatal": "critical", "page": "critical", "sev1": "critical",
    "p1": "critical", "sev0": "critical", "p0": "critical",
}  # fmt: skip


def parse_duration(value: object) -> int:
    """Nanoseconds from `2m`, `half an hour` or a number of seconds. Raises ValueError with what is accepted."""
    problem = ValueError("give a duration such as '2m', '1h30m' or '5 minutes', or a number of seconds")
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise problem
    text = " ".join(str(value).lower().split())
    if len(text) > _LONGEST_TEXT:
        raise problem
    text = f"1 {text}" if _SINGLE.fullmatch(text) else _WORD.sub(lambda word: _NUMBERS[word.group()], text)
    position, total = 0, Decimal(0)
    while position < len(text):
        match = _PART.match(text, position)
        if match is None or match.group(2) not in _UNIT_NAMES:
            raise problem
        total += Decimal(match.group(1)) * _UNITS[_UNIT_NAMES[match.group(2)]]
        position = match.end()
    if not text or total > _LONGEST:
        raise problem
    return round(total)


def format_duration(nanos: int) -> str:
    """The shortest exact text: `90s` is `1m30s`, zero is `0s`."""
    rest, parts = nanos, []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def parse_instant(value: object, now: int, *, future: bool) -> int:
    """Nanoseconds since 1970 from an RFC 3339 time, a date, or a duration from `now` (ahead if `future`)."""
    text = str(value).strip()
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is not None and not text.isdigit():
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if 1970 <= moment.year < 2262:
            return round(moment.timestamp() * 1_000_000) * 1_000
    try:
        distance = parse_duration(value)
    except ValueError:
        example = "from now on" if future else "back from now"
        raise ValueError(
            f"give a time such as '2026-11-23T18:00:00Z', or a duration such as '2h' that counts {example}"
        ) from None
    return now + distance if future else now - distance


def parse_severity(value: object) -> object:
    """`sev1`, `P1` and `CRITICAL` are `critical`; what isn't known stays as it is, to be refused with the choices."""
    if not isinstance(value, str):
        return value
    return SEVERITIES.get(value.strip().lower().replace("-", "").replace(" ", ""), value)


def iso(moment: Timestamp) -> str:
    """RFC 3339 in UTC, to the second: `2026-11-23T16:40:00Z`. Empty for a time that isn't set."""
    if not moment.seconds and not moment.nanos:
        return ""
    return datetime.fromtimestamp(moment.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_CLOCKS_DIFFER = 5
"""Seconds by which the mesh's clock may be ahead of ours, or a call may have taken: nothing was made in the future."""


def ago(moment: str, now: int) -> str:
    """How long ago an RFC 3339 time is, in its greatest unit: `12 min ago`, `in 2 h`."""
    seconds = now // SECOND - int(datetime.fromisoformat(moment).timestamp())
    if -_CLOCKS_DIFFER <= seconds < 0:
        return "now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        if abs(seconds) >= size:
            count = abs(seconds) // size
            return f"{count} {unit} ago" if seconds > 0 else f"in {count} {unit}"
    return "now"


def to_duration(nanos: int) -> Duration:
    """Nanoseconds as a Duration."""
    seconds, rest = divmod(nanos, SECOND)
    return Duration(seconds=seconds, nanos=rest)


def from_duration(duration: Duration) -> int:
    """A Duration as nanoseconds."""
    return duration.seconds * SECOND + duration.nanos


def to_timestamp(nanos: int) -> Timestamp:
    """Nanoseconds since 1970 as a Timestamp."""
    seconds, rest = divmod(nanos, SECOND)
    return Timestamp(seconds=seconds, nanos=rest)


def from_timestamp(moment: Timestamp) -> int:
    """A Timestamp as nanoseconds since 1970."""
    return moment.seconds * SECOND + moment.nanos


def measured(value: float, digits: int = 10) -> int | float | str:
    """A measured value as both channels show it: whole, or with so many significant digits; what isn't finite is a
    text, for which JSON has no number."""
    if math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < 1e15 else rounded(value, digits)
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def rounded(value: float, digits: int) -> float:
    """To so many significant digits, but never so that it becomes infinite."""
    short = float(f"{value:.{digits}g}")
    return short if math.isfinite(short) else value


def number(value: int | float | str) -> str:
    """A measured value in words."""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else f"{value:.10g}"
    return str(value)
