"""Mute timings between the contract's messages and the model."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from monitors.mesh.errors import InvalidField
from monitors.mesh.ids import new_id
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
from monitors.v1 import notification_pb2 as pb
from monitors.v1.notifier_service_pb2 import UpdateMuteTimingRequest

T = TypeVar("T")
CHANGEABLE = ("name", "matchers", "windows", "active")


def read_timing(sent: pb.MuteTiming, tenant: str, now: int) -> MuteTiming:
    """A mute timing to make. Raises InvalidFields."""
    return check(
        MuteTiming(
            tenant=tenant,
            id=new_id("mute"),
            name=sent.name,
            matchers=read_matchers(sent.matchers, "mute_timing.matchers"),
            windows=_read_windows(sent.windows),
            active=sent.active,
            create_time=now,
        )
    )


def read_change(request: UpdateMuteTimingRequest, before: MuteTiming) -> MuteTiming:
    """What an update makes of a mute timing. Raises InvalidField for an unknown path, and InvalidFields."""
    sent = request.mute_timing
    present = {
        "name": bool(sent.name),
        "matchers": bool(sent.matchers),
        "windows": bool(sent.windows),
        "active": sent.active,
    }
    paths = set(request.update_mask.paths) or {path for path, is_set in present.items() if is_set}
    for path in sorted(paths.difference(CHANGEABLE)):
        raise InvalidField("update_mask", f"{shorten(path)!r} can't be changed; name some of {', '.join(CHANGEABLE)}")
    after = replace(
        before,
        name=sent.name if "name" in paths else before.name,
        matchers=read_matchers(sent.matchers, "mute_timing.matchers") if "matchers" in paths else before.matchers,
        windows=_read_windows(sent.windows) if "windows" in paths else before.windows,
        active=sent.active if "active" in paths else before.active,
    )
    return check(after if after == before else replace(after, revision=before.revision + 1))


def from_timing(timing: MuteTiming) -> pb.MuteTiming:
    """The message."""
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
