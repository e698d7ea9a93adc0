"""Windows of time: instants in and out of them, and when that changes."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import SECOND
from monitors.notifier.model import windows
from monitors.notifier.model.windows import (
    Window,
    end_of,
    read_days,
    read_months,
    read_times,
    read_weekdays,
    read_years,
)

WORK = Window((read_times("09:00-17:00"),), (read_weekdays("monday:friday"),))
SYDNEY = Window((read_times("09:00-17:00"),), (read_weekdays("monday:friday"),), zone="Australia/Sydney")
WEEKEND = Window(weekdays=(read_weekdays("saturday:sunday"),))
LAST_DAYS = Window(days=(read_days("-3:-1"),))
FIRST_WEEK = Window((read_times("00:00-24:00"),), days=(read_days("1:7"),), months=(read_months("january"),))
LEAP = Window(days=(read_days("29:31"),), months=(read_months("february"),))
YEARS = Window(years=(read_years("2020:2021"),), months=(read_months("march:april"), read_months("12")))
MIXED = Window((read_times("00:00-01:30"), read_times("22:00-24:00")), days=(read_days("1:1"), read_days("-1:-1")))
# An instant in UTC, and in which of the windows it is; the others it isn't in.
INSTANTS = [
    ("2022-01-10 09:00", "WORK"),
    ("2022-01-10 08:59", ""),
    ("2022-01-10 16:59", "WORK"),
    ("2022-01-10 17:00", ""),
    ("2022-01-08 12:00", "WEEKEND"),
    ("2022-01-09 23:59", "WEEKEND SYDNEY"),
    ("2022-01-10 00:00", "SYDNEY"),
    ("2022-01-07 12:00", "WORK FIRST_WEEK"),
    ("2022-01-08 00:00", "WEEKEND"),
    ("2022-01-01 00:00", "WEEKEND FIRST_WEEK MIXED"),
    ("2022-01-01 01:29", "WEEKEND FIRST_WEEK MIXED"),
    ("2022-01-01 01:30", "WEEKEND FIRST_WEEK"),
    ("2022-01-02 00:30", "WEEKEND FIRST_WEEK"),
    ("2022-01-31 22:00", "LAST_DAYS SYDNEY MIXED"),
    ("2022-01-31 21:59", "LAST_DAYS"),
    ("2022-01-29 05:00", "LAST_DAYS WEEKEND"),
    ("2022-01-28 05:00", "SYDNEY"),
    ("2022-02-26 06:00", "LAST_DAYS WEEKEND"),
    ("2022-02-25 06:30", ""),
    ("2022-02-28 10:00", "LAST_DAYS WORK"),
    ("2020-02-29 10:00", "LAST_DAYS WEEKEND LEAP"),
    ("2020-02-28 10:00", "LAST_DAYS WORK"),
    ("2020-02-26 10:00", "WORK"),
    ("2021-02-28 10:00", "LAST_DAYS WEEKEND"),
    ("2020-03-01 10:00", "WEEKEND YEARS"),
    ("2021-04-30 18:00", "LAST_DAYS YEARS"),
    ("2021-05-01 18:00", "WEEKEND"),
    ("2021-12-15 18:00", "YEARS"),
    ("2022-03-15 18:00", ""),
    ("2019-12-31 23:00", "LAST_DAYS SYDNEY MIXED"),
    ("2021-12-31 23:59", "LAST_DAYS YEARS MIXED"),
    ("2022-07-03 23:00", "WEEKEND SYDNEY"),
    ("2022-07-03 22:59", "WEEKEND"),
    ("2022-01-09 22:00", "WEEKEND SYDNEY"),
    ("2022-01-09 21:59", "WEEKEND"),
    ("2022-01-14 06:00", ""),
    ("2022-01-14 05:59", "SYDNEY"),
    ("2022-07-15 07:00", ""),
    ("2022-07-15 06:59", "SYDNEY"),
    ("2024-02-29 23:59", "LAST_DAYS LEAP SYDNEY MIXED"),
]
NAMED = {
    "WORK": WORK, "SYDNEY": SYDNEY, "WEEKEND": WEEKEND, "LAST_DAYS": LAST_DAYS, "FIRST_WEEK": FIRST_WEEK, "LEAP": LEAP,
    "YEARS": YEARS, "MIXED": MIXED,
}  # fmt: skip


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


def test_there_are_forty_instants() -> None:
    assert len(INSTANTS) == 40


@pytest.mark.parametrize(("instant", "expected"), INSTANTS)
def test_n9_an_instant_is_in_a_window_or_not(instant: str, expected: str) -> None:
    assert {name for name, window in NAMED.items() if window.holds(at(instant))} == set(expected.split())


@pytest.mark.parametrize(
    ("window", "instant", "end"),
    [
        (WORK, at("2022-01-10 12:00"), at("2022-01-10 17:00")),
        (WEEKEND, at("2022-01-08 12:00"), at("2022-01-10 00:00")),
        (SYDNEY, at("2022-01-10 00:00"), at("2022-01-10 17:00", "Australia/Sydney")),
        (LAST_DAYS, at("2020-02-28 10:00"), at("2020-03-01 00:00")),
        # The hour that summer time takes.
        (
            Window((read_times("00:00-06:00"),), zone="Europe/Berlin"),
            at("2022-03-27 00:30", "Europe/Berlin"), at("2022-03-27 06:00", "Europe/Berlin"),
        ),
    ],
)  # fmt: skip
def test_a_window_ends_at_its_first_instant_outside(window: Window, instant: int, end: int) -> None:
    assert end_of(window.holds, [window], instant) == end


def test_what_never_ends_is_looked_at_again_in_a_year() -> None:
    always = Window((read_times("00:00-24:00"),))
    now = at("2022-01-10 12:00")
    assert end_of(always.holds, [always], now) > now + 365 * 86400 * SECOND


RANGES = st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda one: one[0] < one[1])
WINDOWS = st.builds(
    Window,
    times=st.lists(RANGES, max_size=2).map(tuple),
    weekdays=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), max_size=2).map(tuple),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]),
)


@given(WINDOWS, st.integers(at("2024-01-01 00:00") // SECOND, at("2026-12-31 00:00") // SECOND))
def test_between_now_and_the_end_nothing_changes(window: Window, second: int) -> None:
    now = second * SECOND
    is_within = window.holds(now)
    end = end_of(lambda instant: window.holds(instant) is is_within, [window], now)
    assert end > now
    for minutes in range(1, min((end - now) // (60 * SECOND), 3000)):
        assert window.holds(now + minutes * 60 * SECOND) is is_within
    if end < now + 395 * 86400 * SECOND:
        assert window.holds(end) is not is_within


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_times, "9:00-17:00"), (read_times, "09:00"), (read_times, "17:00-09:00"), (read_times, "09:00-24:30"),
        (read_times, "24:00-24:00"), (read_weekdays, "mon:fri"), (read_weekdays, "friday:monday"), (read_weekdays, ""),
        (read_days, "0:3"), (read_days, "5:1"), (read_days, "-1:5"), (read_days, "32"), (read_days, "-1:-3"),
        (read_months, "13"), (read_months, "march:january"), (read_years, "26"), (read_years, "x"),
        (windows.check_zone, "Mars/Olympus"),
    ],
)  # fmt: skip
def test_what_is_no_range_is_refused(read: object, text: str) -> None:
    with pytest.raises(ValueError, match=r"write it as|its start must be|IANA"):
        read(text)  # type: ignore[operator]


def test_days_counted_from_either_end_may_meet() -> None:
    window = Window(days=(read_days("28:-1"),))
    assert [day for day in range(1, 32) if window.holds(at(f"2022-01-{day:02} 00:00"))] == [28, 29, 30, 31]


def test_however_many_windows_there_are_few_instants_are_looked_at() -> None:
    minutes = tuple((number, number + 1) for number in range(50))
    many = [Window(minutes, years=(read_years("2022"),)) for _ in range(20)]
    looked: list[int] = []

    def holds(instant: int) -> bool:
        looked.append(instant)
        return True

    assert end_of(holds, many, at("2022-01-10 12:00")) == looked[-1]
    assert len(looked) == windows.MOST_LOOKS // 20
