"""Durations and numbers as text, in one canonical form each."""

import re
from collections.abc import Sequence
from decimal import Decimal

from monitors.mesh.errors import trailer_length
from monitors.mesh.quantities import UNITS, format_duration
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND

_WORDS = {"day": DAY, "hour": HOUR, "minute": MINUTE, "second": SECOND}
_SPELLINGS = {
    **UNITS, "µs": 1_000, "μs": 1_000, "w": 7 * DAY,
    **dict.fromkeys(("week", "weeks"), 7 * DAY),
    **dict.fromkeys(("day", "days"), DAY),
    **dict.fromkeys(("hr", "hrs", "hour", "hours"), HOUR),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), MINUTE),
    **dict.fromkeys(("sec", "secs", "second", "seconds"), SECOND),
    **dict.fromkeys(("millisecond", "milliseconds", "msec"), 1_000_000),
}  # fmt: skip
_NUMBERS = {
    "a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "twelve": 12, "fifteen": 15, "twenty": 20, "thirty": 30, "sixty": 60, "half a": Decimal("0.5"),
    "half an": Decimal("0.5"),
}  # fmt: skip
WORD_PATTERN = r"half\s+an?|" + "|".join(sorted((word for word in _NUMBERS if " " not in word), key=len, reverse=True))
_SPELT = re.compile(rf"\s*({WORD_PATTERN})\s+(?=[a-z])", re.IGNORECASE)
_SINGLE = {"second": SECOND, "minute": MINUTE, "hour": HOUR, "day": DAY, "week": 7 * DAY}
SINGLE_PATTERN = "|".join(_SINGLE)
UNIT_PATTERN = "|".join(sorted(_SPELLINGS, key=len, reverse=True))
_PART = re.compile(rf"\s*(\d+(?:\.\d+)?)\s*({UNIT_PATTERN})(?![^\W\d])", re.IGNORECASE)
_BARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*")
LONGEST_TEXT = 100


def parse_duration(text: str) -> int | None:
    """Nanoseconds from `5m`, `1h30m`, `half an hour`, `hour` or bare seconds; None if it's something else."""
    if len(text) > LONGEST_TEXT:
        return None
    if single := _SINGLE.get(text.strip().lower()):
        return single
    if bare := _BARE.fullmatch(text):
        return int(Decimal(bare[1]) * SECOND)
    text = _SPELT.sub(lambda word: f" {_NUMBERS[' '.join(word[1].lower().split())]} ", text)
    total, place = Decimal(0), 0
    while place < len(text):
        part = _PART.match(text, place)
        if not part:
            return None
        total += Decimal(part[1]) * _SPELLINGS[part[2].lower()]
        place = part.end()
        place += len(text[place:]) - len(text[place:].lstrip())
    return int(total) if text.strip() else None


def duration_in_words(nanos: int) -> str:
    """A duration for people, `1 hour 30 minutes`."""
    parts, rest = [], nanos
    for word, length in _WORDS.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {word}{'' if count == 1 else 's'}")
    if rest:
        parts.append(format_duration(rest))
    return " ".join(parts) or "0 seconds"


def shown(text: str) -> str:
    """A text that somebody sent, quoted and cut so that it fits into a message."""
    return repr(text if len(text) <= 60 else f"{text[:57]}…")


def listed(names: Sequence[str]) -> str:
    """Names for a message, at most 20 and not too long: a status has a few kilobytes in all."""
    told: list[str] = []
    for name in names[:20]:
        told.append(name if len(name) <= 64 else f"{name[:63]}…")
        if sum(map(trailer_length, told)) > 600:
            break
    text = ", ".join(told)
    return f"{text} and {len(names) - len(told)} more" if len(names) > len(told) else text
