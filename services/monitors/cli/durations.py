"""Durations and moments as people type them: `5m`, `90s`, `1h30m`, `2 min`, plain seconds."""

import re
from datetime import UTC, datetime
from decimal import Decimal

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND

# Canonical texts use the first spelling of each unit, from the largest down.
UNITS: tuple[tuple[int, tuple[str, ...]], ...] = (
    (DAY, ("d", "day", "days")),
    (HOUR, ("h", "hr", "hrs", "hour", "hours")),
    (MINUTE, ("m", "min", "mins", "minute", "minutes")),
    (SECOND, ("s", "sec", "secs", "second", "seconds")),
    (1_000_000, ("ms", "msec", "millisecond", "milliseconds")),
    (1_000, ("us", "µs", "microsecond", "microseconds")),
    (1, ("ns", "nanosecond", "nanoseconds")),
)
WEEK_SPELLINGS = ("w", "week", "weeks")
NANOS_OF = {spelling: nanos for nanos, spellings in UNITS for spelling in spellings} | dict.fromkeys(
    WEEK_SPELLINGS, 7 * DAY
)
LONGEST = 3_650 * DAY

# A datetime has microseconds, the mesh nanoseconds.
_FRACTION = re.compile(r"[.,](\d+)")
_PART = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?)\s*([a-zµ]*)\s*")


def parse_duration(text: str) -> int:
    """Nanoseconds. Raises ValueError, whose message names the text and the accepted form."""
    lowered = text.strip().lower().replace("μ", "µ")
    parts = list(_PART.finditer(lowered))
    if not parts or "".join(part.group() for part in parts) != lowered:
        raise ValueError(_refusal(text))
    total = Decimal(0)
    for part in parts:
        number, unit = part.groups()
        if not unit and len(parts) == 1:
            unit = "s"
        if unit not in NANOS_OF:
            raise ValueError(_refusal(text))
        total += Decimal(number) * NANOS_OF[unit]
    if total > LONGEST:
        raise ValueError(f"{text!r} is longer than ten years; write a shorter duration such as `7d`")
    if total != int(total):
        raise ValueError(f"{text!r} is finer than a nanosecond; write a coarser duration such as `100ms`")
    return int(total)


def format_duration(nanos: int) -> str:
    """The canonical text: `90s` becomes `1m30s`, no time at all `0s`."""
    if nanos == 0:
        return "0s"
    text, rest = ("-", -nanos) if nanos < 0 else ("", nanos)
    for unit, spellings in UNITS:
        count, rest = divmod(rest, unit)
        if count:
            text += f"{count}{spellings[0]}"
    return text


def format_measured(nanos: int) -> str:
    """A measured duration as it's read: to the second from a minute on, else to the millisecond."""
    unit = SECOND if nanos >= MINUTE else SECOND // 1_000
    return format_duration(round(nanos / unit) * unit)


def format_rough(nanos: int) -> str:
    """The largest unit alone, for a measured duration: `145us`."""
    unit = next((unit for unit, _ in UNITS if nanos >= unit), 1)
    return format_duration(nanos - nanos % unit)


def parse_moment(text: str, now: int) -> int:
    """Nanoseconds since 1970 of `2h` (ago) or of an RFC 3339 time. Raises ValueError."""
    try:
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"{text!r} is neither a duration nor a time; write `2h` (ago) or `2026-03-01T08:00:00Z`"
        ) from None
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write it as `2026-03-01T08:00:00Z`")
    whole = moment.replace(microsecond=0).astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    fraction = _FRACTION.search(text)
    return int(whole.total_seconds()) * SECOND + (int(fraction[1][:9].ljust(9, "0")) if fraction else 0)


def format_age(then: int, now: int) -> str:
    """How long ago in one unit, for people: `12 min ago`, `just now`, `in 3 h`."""
    distance = abs(now - then)
    if distance < 2 * SECOND:
        return "just now"
    scale = ((2 * MINUTE, SECOND, "s"), (2 * HOUR, MINUTE, "min"), (2 * DAY, HOUR, "h"))
    unit, name = next(((unit, name) for limit, unit, name in scale if distance < limit), (DAY, "days"))
    words = f"{distance // unit} {name}"
    return f"{words} ago" if then <= now else f"in {words}"


def _refusal(text: str) -> str:
    return f"{text!r} isn't a duration; write it as `90s`, `5m`, `1h30m`, `2 min`, `7d`, or in plain seconds"
