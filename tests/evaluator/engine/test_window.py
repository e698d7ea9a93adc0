"""The window against plain lists."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.aggregates import Measure
from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.window import Window
from tests.evaluator.engine.plainly import Point, aggregate

ROWS = 3
POINT = st.tuples(st.integers(0, ROWS - 1), st.integers(0, 60), st.integers(-5, 5).map(float))
BATCHES = st.lists(st.tuples(st.lists(POINT, max_size=30), st.booleans()), max_size=6)


@dataclass
class Lists:
    """The same, slowly."""

    retention: list[int]
    rows: list[dict[int, float]] = field(default_factory=lambda: [{} for _ in range(ROWS)])

    def insert_past(self, points: list[tuple[int, int, float]]) -> None:
        known = [set(row) for row in self.rows]
        for row, time, value in points:
            if time not in known[row]:
                self.rows[row][time] = value

    def insert(self, points: list[tuple[int, int, float]]) -> list[bool]:
        known = [set(row) for row in self.rows]
        newest = [max(row, default=None) for row in self.rows]
        useful = [n is None or time >= n - self.retention[row] for row, time, _ in points for n in [newest[row]]]
        for (row, time, value), use in zip(points, useful, strict=True):
            if use:
                self.rows[row][time] = value
        last = {(row, time): place for place, (row, time, _) in enumerate(points)}
        return [
            use and time not in known[row] and last[row, time] == place
            for place, ((row, time, _), use) in enumerate(zip(points, useful, strict=True))
        ]

    def visible(self, row: int, since: int, until: int) -> list[Point]:
        return [(time, value) for time, value in sorted(self.rows[row].items()) if since <= time <= until]


MEASURES = [Measure(kind, 0.8, 7 * 10**9) for kind in Aggregation]


def naive(measure: Measure, points: list[Point], now: int) -> float:
    found = aggregate(measure.aggregation, points, now + measure.ahead, measure.share)
    return float("nan") if found is None else found


@settings(max_examples=200, deadline=None)
@given(BATCHES, st.lists(st.integers(0, 80), min_size=ROWS, max_size=ROWS))
def test_the_window_agrees_with_plain_lists(
    batches: list[tuple[list[tuple[int, int, float]], bool]], retention: list[int]
) -> None:
    window, lists = Window(), Lists(retention)
    for row in range(ROWS):
        window.set_retention(np.array([row]), retention[row])
    for points, past in batches:
        rows = np.array([row for row, _, _ in points], dtype=np.intp)
        times = np.array([time for _, time, _ in points], dtype=np.int64)
        values = np.array([value for _, _, value in points], dtype=np.float64)
        if past:
            window.insert_past(rows, times, values)
            lists.insert_past(points)
        else:
            assert window.insert(rows, times, values).tolist() == lists.insert(points)
        for row in range(ROWS):
            newest = max(lists.rows[row], default=None)
            assert window.newest[row] == (UNSET if newest is None else newest)
            if newest is None:
                continue
            # From the newest point on everything that the retention promises is there.
            instants = [time for time in range(newest, newest + 3) if time - newest <= retention[row]]
            since = [newest - retention[row] for _ in instants]
            for measure in MEASURES:
                found = window.aggregate(
                    np.full(len(instants), row, dtype=np.intp),
                    measure,
                    np.array([time - start for time, start in zip(instants, since, strict=True)], dtype=np.int64),
                    np.array(instants, dtype=np.int64),
                )
                wanted = [naive(measure, lists.visible(row, newest - retention[row], time), time) for time in instants]
                np.testing.assert_array_equal(found, np.array(wanted))


def test_memory_is_bounded_by_the_retention_however_many_points_come() -> None:
    window = Window()
    window.set_retention(np.array([0]), 100)
    window.set_retention(np.array([1]), 0)
    for start in range(0, 100_000, 50):
        rows = np.repeat(np.array([0, 1], dtype=np.intp), 50)
        times = np.tile(np.arange(start, start + 50, dtype=np.int64), 2)
        window.insert(rows, times, np.ones(100))
    assert window.cell_count < 1000
    assert window.point_count < 1000


def test_points_that_come_regularly_after_an_old_one_get_all_their_room_at_once() -> None:
    window, rows = Window(), np.array([0])
    window.set_retention(rows, 330)
    rooms = []
    for time in (0, *range(300, 1_000, 10)):
        window.insert(rows, np.array([time]), np.ones(1))
        rooms.append(window.cell_count)
    assert len(set(rooms)) == 2
    assert rooms[-1] <= 36


def test_the_pool_grows_and_is_compacted_without_losing_a_point() -> None:
    window = Window()
    count = 20_000
    rows = np.arange(count, dtype=np.intp)
    for row in range(count):
        window.set_retention(np.array([row]), 1_000)
    for time in range(40):
        window.insert(rows, np.full(count, time, dtype=np.int64), (rows + time).astype(np.float64))
        if time == 20:
            for row in range(0, count, 2):
                window.release(row)
                window.set_retention(np.array([row]), 1_000)
    times = np.full(count, 39, dtype=np.int64)
    sums = window.aggregate(rows, Measure(Aggregation.SUM), 1_000, times)
    odd, even = rows[1::2], rows[::2]
    np.testing.assert_array_equal(sums[odd], 40.0 * odd + sum(range(40)))
    np.testing.assert_array_equal(sums[even], 19.0 * even + sum(range(21, 40)))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_many_rows_are_added_up_exactly_as_one_by_one(seed: int, aligned: bool, holes: bool) -> None:
    count, retention = 700, 60
    random = np.random.default_rng(seed)
    window, rows = Window(), np.arange(count, dtype=np.intp)
    for row in rows.tolist():
        window.set_retention(np.array([row]), retention)
    known: list[list[tuple[int, float]]] = [[] for _ in range(count)]
    for time in range(0, 130, 4):
        some = rows if aligned else rows[random.random(count) < 0.8]
        values = random.normal(size=len(some)) * 10.0 ** random.integers(-3, 9, len(some))
        if holes:
            values[random.random(len(some)) < 0.1] = np.nan
        window.insert(some, np.full(len(some), time), values)
        for row, value in zip(some.tolist(), values.tolist(), strict=True):
            known[row].append((time, value))
    now = int(random.integers(125, 135))
    span = int(random.integers(0, retention - 10))
    for measure in MEASURES:
        found = window.aggregate(rows, measure, span, np.full(count, now))
        visible = [[(time, value) for time, value in row if now - span <= time <= now] for row in known]
        np.testing.assert_array_equal(found, np.array([naive(measure, points, now) for points in visible]))


@pytest.mark.parametrize("different", [[], [5_000], [0, 9_999]])
def test_regular_points_of_rows_over_several_pages_are_kept_as_long_as_each_row_asks(different: list[int]) -> None:
    count, retention, longer = 10_000, 10, 100
    window, rows = Window(), np.arange(count, dtype=np.intp)
    window.set_retention(rows, retention)
    for time in range(60):
        if time == 30:
            # Their rings are as full as all others.
            window.set_retention(np.array(different, dtype=np.intp), longer)
        values = np.where(rows % 7 == time % 7, np.nan, rows + time)
        assert window.insert(rows, np.full(count, time, dtype=np.int64), values).all()
    for span, some in ((retention, rows), (29, np.array(different, dtype=np.intp))):
        kept = [time for time in range(60) if time >= 59 - span]
        found = window.aggregate(some, Measure(Aggregation.SUM), span, np.full(len(some), 59, dtype=np.int64))
        wanted = [sum(row + time for time in kept if row % 7 != time % 7) for row in some.tolist()]
        np.testing.assert_array_equal(found, np.array(wanted, dtype=np.float64))


def test_a_limit_makes_rows_forget_their_oldest_points_and_says_which() -> None:
    window = Window(limit=64)
    for row in range(2):
        window.set_retention(np.array([row]), 1_000_000)
    for time in range(60):
        window.insert(np.array([0, 1]), np.full(2, time), np.full(2, float(time)))
    assert window.cell_count <= 64
    assert window.shortened == {0, 1}
    for row in range(2):
        times, values = window.points(row)
        assert 0 < len(times) < 60
        assert times.tolist() == values.tolist() == list(range(60 - len(times), 60))
    window.release(0)
    assert window.shortened == {1}


def test_a_limit_keeps_the_newest_of_many_points_that_come_at_once() -> None:
    window = Window(limit=64)
    window.set_retention(np.array([0]), 1_000_000)
    window.insert(np.zeros(500, dtype=np.intp), np.arange(500), np.arange(500.0))
    times, _ = window.points(0)
    assert times.tolist() == list(range(500 - len(times), 500))
    window.insert(np.zeros(3, dtype=np.intp), np.array([7, 498, 600]), np.array([1.0, 2.0, 3.0]))
    assert window.points(0)[0][-1] == 600
