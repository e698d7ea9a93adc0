"""Recurring windows of time: which instants are in them, and when that changes.

As Alertmanager has them: a time's start belongs to it and its end doesn't; ranges of days, months and years hold both
of their ends; days of a month may be counted from its end, and what a month hasn't got is left out.
https://prometheus.io/docs/alerting/latest/configuration/#time_interval
"""

import calendar
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from heapq import merge
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from monitors.mesh.times import SECOND

Range = tuple[int, int]
"""First and last, both of which belong to it; of times the minutes of a day, of which the last doesn't."""
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = tuple(name.lower() for name in calendar.month_name[1:])
DAY_MINUTES = 24 * 60
LOOK_AHEAD_DAYS = 400
MOST_RANGES = 50
MOST_LOOKS = 2_500
"""How often a window is looked at to find an end, so that many of them at every minute of a year hold nothing up."""
_TIME = re.compile(r"([01]\d|2[0-4]):([0-5]\d)")


@dataclass(frozen=True)
class Window:
    """Each part that isn't empty must hold. Times are minutes of a day, weekdays and months count from 1."""

    times: tuple[Range, ...] = ()
    weekdays: tuple[Range, ...] = ()
    days: tuple[Range, ...] = ()
    months: tuple[Range, ...] = ()
    years: tuple[Range, ...] = ()
    zone: str = "UTC"

    def holds(self, instant: int) -> bool:
        """Whether an instant, in nanoseconds since 1970, is in it."""
        local = datetime.fromtimestamp(instant // SECOND, ZoneInfo(self.zone))
        minute = local.hour * 60 + local.minute
        return (
            self._holds_day(local)
            and _within(local.isoweekday(), self.weekdays)
            and _within(local.month, self.months)
            and _within(local.year, self.years)
            and (not self.times or any(start <= minute < end for start, end in self.times))
        )

    def _holds_day(self, local: datetime) -> bool:
        if not self.days:
            return True
        length = calendar.monthrange(local.year, local.month)[1]
        spans = ((_from_start(first, length), _from_start(last, length)) for first, last in self.days)
        return any(max(first, 1) <= local.day <= min(last, length) for first, last in spans)

    def edges(self, instant: int) -> Iterator[int]:
        """Instants after this one at which it may begin or end, day by day, for somewhat more than a year."""
        zone = ZoneInfo(self.zone)
        today = datetime.fromtimestamp(instant // SECOND, zone).date()
        minutes = sorted({0, *(minute for span in self.times for minute in span)})
        for number in range(LOOK_AHEAD_DAYS):
            day = today + timedelta(days=number)
            for minute in minutes:
                # The end of a day is the beginning of the next one, which is looked at anyway.
                if minute < DAY_MINUTES:
                    local = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=zone)
                    edge = int(local.astimezone(UTC).timestamp()) * SECOND
                    if edge > instant:
                        yield edge


def end_of(holds: Callable[[int], bool], windows: Sequence[Window], now: int) -> int:
    """The first edge of the windows from which on `holds` doesn't, or the last one that is looked at: it's looked at
    again then."""
    last = now
    edges = merge(*(window.edges(now) for window in windows))
    for edge in islice(edges, MOST_LOOKS // max(1, len(windows))):
        last = edge
        if not holds(edge):
            break
    return last


def _within(value: int, ranges: Sequence[Range]) -> bool:
    return not ranges or any(first <= value <= last for first, last in ranges)


def _from_start(day: int, length: int) -> int:
    """A day of a month that may be counted from its end, as -1 is its last one."""
    return day if day > 0 else length + 1 + day


def read_times(text: str) -> Range:
    """`09:00-17:30`. Raises ValueError, whose message says what is accepted."""
    start, dash, end = (part.strip() for part in text.partition("-"))
    first, last = _TIME.fullmatch(start), _TIME.fullmatch(end)
    if not dash or first is None or last is None:
        raise ValueError("write it as `09:00-17:30`, `24:00` for the end of the day")
    begin, finish = (int(match[1]) * 60 + int(match[2]) for match in (first, last))
    if not begin < finish <= DAY_MINUTES:
        raise ValueError("its start must be before its end; write what goes on past midnight as two, such as "
                         "`22:00-24:00` and `00:00-06:00`")  # fmt: skip
    return begin, finish


def read_weekdays(text: str) -> Range:
    """`monday:friday` or `sunday`. Raises ValueError."""
    return _read_range(text, lambda word: _named(word, WEEKDAYS), "`monday:friday` or `sunday`")


def read_months(text: str) -> Range:
    """`january:march`, `1:3` or `december`. Raises ValueError."""
    return _read_range(text, lambda word: _named(word, MONTHS) or _number(word, 1, 12), "`january:march` or `12`")


def read_years(text: str) -> Range:
    """`2026:2027` or `2026`. Raises ValueError."""
    return _read_range(text, lambda word: _number(word, 1970, 9999), "`2026:2027` or `2026`")


def read_days(text: str) -> Range:
    """`1:5`, `-3:-1` (counted from the end) or `15`. Raises ValueError."""
    accepted = "`1:5`, `-3:-1` (counted from the month's end) or `15`"
    first, colon, last = text.strip().partition(":")
    begin, end = (_number(word, -31, 31) for word in (first, last if colon else first))
    if not begin or not end or (begin < 0 < end) or (begin > end and (begin > 0) == (end > 0)):
        raise ValueError(f"write it as {accepted}, from 1 to 31, the first before the last")
    return begin, end


def check_zone(name: str) -> str:
    """The time zone; UTC if it's empty. Raises ValueError."""
    if name and name not in _zones():
        raise ValueError("isn't an IANA time zone; send one such as `Europe/Berlin`, or nothing for UTC")
    return name or "UTC"


@cache
def _zones() -> frozenset[str]:
    """The names that there are. To gather them, hundreds of files are looked at."""
    return frozenset(available_timezones())


def _read_range(text: str, read: Callable[[str], int], accepted: str) -> Range:
    first, colon, last = text.strip().lower().partition(":")
    begin, end = read(first), read(last if colon else first)
    if not begin or not end or begin > end:
        raise ValueError(f"write it as {accepted}, the first before the last")
    return begin, end


def _named(word: str, names: Sequence[str]) -> int:
    return names.index(word.strip()) + 1 if word.strip() in names else 0


def _number(word: str, least: int, most: int) -> int:
    """The number, 0 if it's none or out of bounds."""
    plain = word.strip()
    number = int(plain) if re.fullmatch(r"-?\d{1,4}", plain) else 0
    return number if least <= number <= most else 0
