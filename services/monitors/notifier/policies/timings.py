"""Mute timings between the contract's messages and the model."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from monitors.mesh.errors import InvalidField
from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.checks import shorten
from monitors.notifier.model.timings import MuteTiming, check
from monitors.notifier.model.windows import (
    DAY_MINUTES,
    MONTHS,
    MOST_RANGES,
    WEEKDAYS,
    Range,
    Window,
    check_zone,
    read_days,
    read_months,
    read_times,
    read_weekdays,
    read_years,
)
from monitors.notifier.policies.kinds import Kind, Making, Part
from monitors.notifier.store.timings import ROWS
from monitors.v1 import notification_pb2 as pb

T = TypeVar("T")


def _make(making: Making, parts: dict[str, Any]) -> MuteTiming:
    return MuteTiming(making.tenant, making.id, **parts, create_time=making.now)


def _show(timing: MuteTiming) -> pb.MuteTiming:
    return pb.MuteTiming(
        id=timing.id,
        name=timing.name,
        matchers=from_matchers(timing.matchers),
        windows=map(_from_window, timing.windows),
        active=timing.active,
        etag=timing.etag,
    )


def _read_windows(sent: Iterable[pb.TimeWindow]) -> tuple[Window, ...]:
    return tuple(_read_window(one, f"mute_timing.windows[{number}]") for number, one in enumerate(sent))


def _read_window(sent: pb.TimeWindow, place: str) -> Window:
    window = Window(
        times=_read_all(sent.times, read_times, f"{place}.times"),
        weekdays=_read_all(sent.weekdays, read_weekdays, f"{place}.weekdays"),
        days=_read_all(sent.days_of_month, read_days, f"{place}.days_of_month"),
        months=_read_all(sent.months, read_months, f"{place}.months"),
        years=_read_all(sent.years, read_years, f"{place}.years"),
        zone=_read(sent.time_zone, check_zone, f"{place}.time_zone"),
    )
    if not (window.times or window.weekdays or window.days or window.months or window.years):
        raise InvalidField(place, "nothing is set; send some of times, weekdays, days_of_month, months and years")
    return window


def _read_all(texts: Iterable[str], read: Callable[[str], Range], place: str) -> tuple[Range, ...]:
    listed = list(texts)
    if len(listed) > MOST_RANGES:
        raise InvalidField(place, f"there are {len(listed)}; send at most {MOST_RANGES}")
    return tuple(_read(text, read, f"{place}[{number}]") for number, text in enumerate(listed))


def _read(text: str, read: Callable[[str], T], place: str) -> T:
    try:
        return read(text)
    except ValueError as error:
        raise InvalidField(place, f"{shorten(text)!r}: {error}") from None


def _from_window(window: Window) -> pb.TimeWindow:
    return pb.TimeWindow(
        times=[f"{_clock(start)}-{_clock(end)}" for start, end in window.times],
        weekdays=[_span(first, last, lambda day: WEEKDAYS[day - 1]) for first, last in window.weekdays],
        days_of_month=[_span(first, last, str) for first, last in window.days],
        months=[_span(first, last, lambda month: MONTHS[month - 1]) for first, last in window.months],
        years=[_span(first, last, str) for first, last in window.years],
        time_zone=window.zone,
    )


def _clock(minute: int) -> str:
    return "24:00" if minute == DAY_MINUTES else f"{minute // 60:02}:{minute % 60:02}"


def _span(first: int, last: int, name: Callable[[int], str]) -> str:
    return name(first) if first == last else f"{name(first)}:{name(last)}"


PARTS = {
    "name": Part("name", lambda sent: sent.name),
    "matchers": Part("matchers", lambda sent: read_matchers(sent.matchers, "mute_timing.matchers")),
    "windows": Part("windows", lambda sent: _read_windows(sent.windows)),
    "active": Part("active", lambda sent: sent.active),
}
TIMINGS = Kind("mute", ROWS, PARTS, _make, check, _show)
