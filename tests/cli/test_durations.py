"""Durations and moments as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.cli.durations import LONGEST, format_age, format_duration, format_rough, parse_duration, parse_moment
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND

NOW = 1_772_366_400 * SECOND


@pytest.mark.parametrize(
    ("text", "nanos"),
    [
        ("5m", 5 * MINUTE),
        ("90s", 90 * SECOND),
        ("1h30m", 90 * MINUTE),
        ("1h 30 min", 90 * MINUTE),
        ("2 min", 2 * MINUTE),
        ("2 Minutes", 2 * MINUTE),
        ("45", 45 * SECOND),
        ("0", 0),
        ("1.5s", 1_500_000_000),
        ("250ms", 250_000_000),
        ("10 µs", 10_000),
        ("1w2d", 9 * DAY),
        (" 7d ", 7 * DAY),
    ],
)
def test_a_duration_is_read_in_every_usual_spelling(text: str, nanos: int) -> None:
    assert parse_duration(text) == nanos


@pytest.mark.parametrize(
    "text", ["", "m", "-5m", "5x", "1h30", "five minutes", "1e3s", "5m!", "5m,3s", "1" * 400, "0.5ns"]
)
def test_what_is_no_duration_is_refused_with_the_accepted_form(text: str) -> None:
    with pytest.raises(ValueError, match=r"write"):
        parse_duration(text)


def test_a_duration_beyond_ten_years_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than ten years"):
        parse_duration("3651d")


@given(st.integers(0, LONGEST))
def test_canonical_text_reads_back_as_the_same_duration(nanos: int) -> None:
    assert parse_duration(format_duration(nanos)) == nanos


def test_canonical_text_uses_the_largest_units() -> None:
    assert [format_duration(nanos) for nanos in (0, 90 * SECOND, 5 * MINUTE, DAY + HOUR, -30 * SECOND)] == [
        "0s",
        "1m30s",
        "5m",
        "1d1h",
        "-30s",
    ]


def test_a_moment_is_a_time_ago_or_a_time_with_its_zone() -> None:
    assert parse_moment("2h", NOW) == NOW - 2 * HOUR
    assert parse_moment("2026-03-01T12:00:00Z", 0) == NOW
    assert parse_moment("2026-03-01T13:00:00+01:00", 0) == NOW
    with pytest.raises(ValueError, match="no time zone"):
        parse_moment("2026-03-01T12:00:00", 0)
    with pytest.raises(ValueError, match="neither a duration nor a time"):
        parse_moment("yesterday", 0)


@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (0, "just now"),
        (45 * SECOND, "45 s ago"),
        (12 * MINUTE, "12 min ago"),
        (5 * HOUR, "5 h ago"),
        (3 * DAY, "3 days ago"),
        (-3 * HOUR, "in 3 h"),
    ],
)
def test_an_age_is_told_in_one_unit(distance: int, text: str) -> None:
    assert format_age(NOW - distance, NOW) == text


@pytest.mark.parametrize(("nanos", "text"), [(145_597, "145us"), (0, "0s"), (5, "5ns"), (3_700_000_000, "3s")])
def test_a_measured_duration_is_told_in_one_unit(nanos: int, text: str) -> None:
    assert format_rough(nanos) == text
