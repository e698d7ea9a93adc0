"""Many windows at once have the numbers that each of them has alone, bit by bit."""

from functools import cache

import numpy as np
import pytest

from monitors.evaluator.model.aggregates import FEW
from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.reading import Aggregation, Function, Term
from monitors.evaluator.model.terms import value_of
from monitors.evaluator.model.window import Window
from monitors.mesh.times import SECOND

SIZE = FEW + 100
END = 200


@cache
def filled(*, ragged: bool, odd: bool) -> Window:
    """Counters that start from 0 now and then; of some, points are missing, or are no numbers, or infinite.
    Nobody changes it."""
    generator, window, rows = np.random.default_rng(7), Window(), np.arange(SIZE, dtype=np.int32)
    window.set_retention(rows, 60 * SECOND)
    counters = np.zeros(SIZE)
    for second in range(1, END + 1):
        counters = np.where(generator.random(SIZE) < 0.02, 0.0, counters + generator.random(SIZE))
        values = counters.copy()
        if odd:
            values[generator.random(SIZE) < 0.01] = np.nan
            values[generator.random(SIZE) < 0.001] = np.inf
        there: Booleans = generator.random(SIZE) < (0.7 if ragged else 2.0)
        window.insert(rows[there], np.full(there.sum(), second * SECOND), values[there])
    return window


@pytest.mark.parametrize("aggregation", Aggregation)
@pytest.mark.parametrize(("ragged", "odd"), [(False, False), (True, False), (False, True), (True, True)])
@pytest.mark.parametrize("seconds", [0, 3, 50])
def test_windows_have_the_same_numbers_together_as_alone(
    aggregation: Aggregation, ragged: bool, odd: bool, seconds: int
) -> None:
    window, term = filled(ragged=ragged, odd=odd), Term(Function.VALUE, aggregation, seconds * SECOND, quantile=0.9)
    rows, times = np.arange(SIZE), np.full(SIZE, END * SECOND)
    alone = [value_of(window, term, rows[one : one + 1], times[one : one + 1])[0] for one in range(SIZE)]
    np.testing.assert_array_equal(value_of(window, term, rows, times), alone)
