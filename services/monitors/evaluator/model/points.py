"""Points on their way into the window."""

from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.series import Floats, Int32s, Int64s


class Points(NamedTuple):
    """Points in order of arrival, one entry of each array for each: series index, nanoseconds, number."""

    series: Int32s
    times: Int64s
    values: Floats

    def where(self, wanted: Booleans) -> "Points":
        """Some of the points."""
        return Points(self.series[wanted], self.times[wanted], self.values[wanted])

    def then(self, later: "Points") -> "Points":
        """These points, and others that came after them."""
        return Points(
            np.concatenate((self.series, later.series)),
            np.concatenate((self.times, later.times)),
            np.concatenate((self.values, later.values)),
        )


NO_POINTS = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))
