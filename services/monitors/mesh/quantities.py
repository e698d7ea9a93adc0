"""Durations and numbers as text, in one canonical form each."""

import re

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND

UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}

_PART = re.compile(rf"([0-9]{{1,9}})({'|'.join(sorted(UNITS, key=len, reverse=True))})")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def format_duration(nanos: int) -> str:
    """The canonical text of a duration, `1h30m`; `0s` for none."""
    if nanos < 0:
        return f"-{format_duration(-nanos)}"
    parts = []
    for unit, length in UNITS.items():
        count, nanos = divmod(nanos, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def read_duration(text: str) -> int:
    """Nanoseconds of a text as `format_duration` makes it: `1h30m`, `10s`. Raises ValueError."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} isn't a duration such as 10s, 5m or 1h30m")
    return sum(int(count) * UNITS[unit] for count, unit in _PART.findall(text))


def format_number(value: float) -> str:
    """The shortest text that reads back as the same number."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return repr(value)
