"""Sealed blocks: exact to the last bit, small, and refused when they're damaged."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitors.evaluator.blocks import Block, DamagedBlock, open_block, seal
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import EMPTY, Points
from monitors.mesh.times import DAY, HOUR, SECOND
from tests.evaluator.history.parts import SAMPLES, SERIES, START, TYPES, Sample, columns, content, last_written

NEGATIVE_ZERO = 1 << 63
SIGNALING_NAN = 0x7FF0_0000_0000_0001
EXTREMES: list[Sample] = [
    *((SERIES[0], time, bits) for time, bits in enumerate((NEGATIVE_ZERO, 0, SIGNALING_NAN, 1, 0x7FEF << 48))),
    (SERIES[0], 5, 0xFFF << 52),
    *((SERIES[1], time, value) for time, value in enumerate((-(2**63), 2**63 - 1, 0, -1))),
    *((SERIES[2], time, value) for time, value in enumerate((2**64 - 1, 0, 2**63))),
    *((SERIES[3], time, value) for time, value in enumerate((True, False))),
    *((SERIES[4], time, value) for time, value in enumerate(("", "ü\0😀", "x" * 65_536, "", "y"))),
]  # fmt: skip
EDGES = [(SERIES[0], time, 1.5) for time in (-(2**63), -1, 0, 2**63 - 1)]


def walks(series: int, count: int, step: int = 10 * SECOND, *, digits: int | None = 2) -> Points:
    """Random walks of doubles, measured all at the same times, tick by tick."""
    random = np.random.default_rng(series)
    values = 100 + np.cumsum(random.normal(0, 1, (count, series)), axis=0)
    values = values if digits is None else np.round(values, digits)
    return Points(
        np.tile(np.arange(series, dtype=np.int32), count),
        np.repeat(START // DAY * DAY + np.arange(count) * step, series),
        values.ravel().view(np.uint64),
    )


def doubles(count: int) -> Any:
    return np.full(count, FieldType.FLOAT, np.uint8)


def rows(*parts: Points) -> list[tuple[int, int, int]]:
    """Points without texts, sorted."""
    return sorted(
        row
        for part in parts
        for row in zip(part.series.tolist(), part.times.tolist(), part.values.tolist(), strict=True)
    )


def bytes_a_point(blocks: list[Block]) -> float:
    return sum(len(block.data) for block in blocks) / sum(block.point_count for block in blocks)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SAMPLES, max_size=30))
@example(EXTREMES)
@example(EDGES)
def test_every_value_survives_sealing_to_the_last_bit_and_the_last_write_wins(samples: list[Sample]) -> None:
    points = columns(samples)
    blocks = list(seal([points], TYPES))
    opened = [open_block(block.data) for block in blocks]
    assert sorted(one for part in opened for one in content(part)) == last_written(points)
    for block, part in zip(blocks, opened, strict=True):
        assert content(part) == last_written(part)
        assert (block.first_series, block.last_series) == (part.series.min(), part.series.max())
        assert (block.first_time, block.last_time) == (part.times.min(), part.times.max())
        assert block.point_count == len(part)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(SAMPLES, max_size=30), st.sets(st.integers(0, 6)), st.tuples(st.integers(-1, 4), st.integers(-1, 4)))
def test_a_part_of_a_block_is_what_the_whole_says_of_those_series_and_times(
    samples: list[Sample], chosen: set[int], span: tuple[int, int]
) -> None:
    wanted = np.array(sorted(chosen), np.int32)
    for block in seal([columns(samples)], TYPES):
        part = open_block(block.data, wanted, *span)
        whole = content(open_block(block.data))
        assert content(part) == [one for one in whole if one[0] in chosen and span[0] <= one[1] <= span[1]]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.lists(SAMPLES, max_size=8), max_size=6))
def test_it_makes_no_difference_in_how_many_parts_points_came(parts: list[list[Sample]]) -> None:
    together = columns([sample for part in parts for sample in part])
    assert list(seal([columns(part) for part in parts], TYPES)) == list(seal([together], TYPES))


def test_series_of_different_digits_share_a_block_and_stay_exact() -> None:
    parts = []
    for tick in range(20):
        values = np.array([tick, tick + 0.5, tick / 4, 0.1 * tick, 7.0 if tick else np.pi, np.nan])
        times = np.full(len(values), START + tick * SECOND)
        parts.append(Points(np.arange(len(values), dtype=np.int32), times, values.view(np.uint64)))
    (block,) = seal(parts, doubles(6))
    assert rows(open_block(block.data)) == rows(*parts)


@pytest.mark.parametrize(
    ("points", "limit"),
    [
        (walks(300, 360), 1.3),
        (walks(3_000, 20), 1.4),
        (walks(300, 360, digits=None), 6.6),
        (walks(1, 70_000, step=SECOND), 1.3),
    ],
    ids=["hour", "short", "full doubles", "one long series"],
)
def test_random_walks_take_few_bytes(points: Points, limit: float) -> None:
    blocks = list(seal([points], doubles(3_000)))
    assert bytes_a_point(blocks) < limit
    order = np.lexsort((points.times, points.series))
    parts = [open_block(block.data) for block in blocks]
    assert (np.concatenate([part.values for part in parts]) == points.values[order]).all()
    assert (np.concatenate([part.times for part in parts]) == points.times[order]).all()
    assert (np.concatenate([part.series for part in parts]) == points.series[order]).all()


def test_a_rare_value_that_is_no_decimal_does_not_make_its_series_big() -> None:
    points = walks(100, 360)
    plain = bytes_a_point(list(seal([points], doubles(100))))
    for place, bits in ((5_000, NEGATIVE_ZERO), (7_001, SIGNALING_NAN), (9_002, 0x7FF << 52)):
        points.values[place] = bits
    blocks = list(seal([points], doubles(100)))
    assert bytes_a_point(blocks) < plain + 0.01
    assert rows(*(open_block(block.data) for block in blocks)) == rows(points)


def test_equal_values_and_steps_take_next_to_nothing() -> None:
    points = walks(100, 360)
    points.values[:] = np.float64(21.5).view(np.uint64)
    assert bytes_a_point(list(seal([points], doubles(100)))) < 0.02


def test_series_that_were_measured_at_their_own_times_keep_them() -> None:
    points = walks(50, 100)
    jitter = np.random.default_rng(1).integers(0, SECOND, len(points))
    jittered = Points(points.series, points.times + jitter, points.values)
    blocks = list(seal([jittered], doubles(50)))
    assert rows(*(open_block(block.data) for block in blocks)) == rows(jittered)


def test_no_block_holds_two_days_or_more_points_than_it_may() -> None:
    points = walks(700, 100, step=HOUR)
    blocks = list(seal([points], doubles(700)))
    assert all(block.first_time // DAY == block.last_time // DAY for block in blocks)
    assert max(block.point_count for block in blocks) <= 65_536
    assert sum(block.point_count for block in blocks) == len(points)


def test_nothing_seals_to_nothing() -> None:
    assert list(seal([EMPTY], TYPES)) == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:5],
        lambda data: data[:-1],
        lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        lambda data: data[:1] + b"\xff" + data[2:],
        lambda data: b"",
    ],
)
def test_a_damaged_block_is_refused(damage: Callable[[bytes], bytes]) -> None:
    (block,) = seal([walks(20, 30)], doubles(20))
    with pytest.raises(DamagedBlock):
        open_block(damage(block.data))
