"""Order statistics of many windows at once, compared with sorting each one by itself."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.ordered import Ordered, ordered
from monitors.evaluator.model.reading import Aggregation, Function, Term
from monitors.evaluator.model.terms import value_of
from monitors.evaluator.model.window import Window
from monitors.mesh.times import SECOND
from tests.fuzzing import share

NUMBERS = st.sampled_from([-math.inf, -3.0, 0.0, 0.0, 1.5, 2.0, 7.25, 1e300, math.inf])


def plain_quantile(values: list[float], portion: float) -> float:
    """By linear interpolation between two neighbours of the order."""
    known = sorted(values)
    place = portion * (len(known) - 1)
    below = math.floor(place)
    low, high = known[below], known[min(below + 1, len(known) - 1)]
    return low if place == below or low == high else low + (high - low) * (place - below)


@share(300)
@given(st.lists(st.lists(NUMBERS | st.just(math.nan), min_size=1, max_size=40), min_size=1, max_size=12),
       st.sampled_from([0.0, 0.5, 0.9, 1.0]))  # fmt: skip
def test_windows_of_any_lengths_have_the_quantiles_that_each_has_by_itself(
    windows: list[list[float]], portion: float
) -> None:
    counts = np.array([len(one) for one in windows])
    for some, numbers in ordered(np.concatenate(windows), np.cumsum(counts) - counts, counts):
        for chosen, finite in ((numbers, False), (numbers.finite(), True)):
            left = np.flatnonzero(chosen.counts)
            with np.errstate(invalid="ignore", over="ignore"):
                found = chosen.where(left).quantile(portion)
                centres = np.linspace(-4, 3, len(left)) if finite else np.zeros(len(left))
                distances = chosen.where(left).distance_quantile(centres, portion)
            kept = [[one for one in windows[number] if (math.isfinite if finite else lambda x: x == x)(one)]
                    for number in some.tolist()]  # fmt: skip
            assert chosen.counts.tolist() == [len(one) for one in kept]
            full = [one for one in kept if one]
            np.testing.assert_array_equal(found, [plain_quantile(one, portion) for one in full])
            away = [[abs(x - c) for x in one] for one, c in zip(full, centres.tolist(), strict=True)]
            np.testing.assert_array_equal(distances, [plain_quantile(one, portion) for one in away])


def test_windows_are_read_alike_wherever_their_rings_lie() -> None:
    """Rows of one rhythm are read as columns of the rings, others one by one; some go around their rings' ends."""
    generator, window, known = np.random.default_rng(5), Window(), dict[int, list[float]]()
    rows = np.arange(400, dtype=np.int32)
    window.set_retention(rows, 300 * SECOND)
    for second in range(1, 1_000):
        # The last hundred come at random.
        some = rows[(rows < 300) | (generator.random(400) < 0.7)]
        values = generator.normal(size=len(some)).round(1)
        window.insert(some, np.full(len(some), second * SECOND), values)
        for row, value in zip(some.tolist(), values.tolist(), strict=True):
            known.setdefault(row, []).append(value) if second >= 699 else None
    at = np.full(400, 999 * SECOND)
    found = value_of(window, Term(Function.VALUE, Aggregation.QUANTILE, 300 * SECOND, quantile=0.9), rows, at)
    np.testing.assert_array_equal(found, [plain_quantile(known[row], 0.9) for row in rows.tolist()])


def test_a_window_without_numbers_has_none() -> None:
    (numbers,) = [one for _, one in ordered(np.full(6, np.nan), np.array([0, 3]), np.array([3, 3]))]
    assert isinstance(numbers, Ordered)
    assert numbers.counts.tolist() == [0, 0]
