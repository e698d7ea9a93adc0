"""Many series made one: numbers of groups to one number each."""

import numpy as np

from monitors.evaluator.model.reading import Aggregation
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.statistics import Laid, lay_out, numbers_of, quantile, standard_deviation


def reduce_groups(kind: Aggregation, share: float, values: Floats, counts: Int64s) -> Floats:
    """One number of each group of `counts` values, none of which is empty, in their order; `share` is QUANTILE's.

    What isn't a number takes no part; NaN for a group without any.
    """
    result = np.full(len(counts), np.nan)
    # Time plays no part between series.
    laid, left = numbers_of(lay_out(values, np.zeros(len(values), dtype=np.int64), counts))
    if len(left):
        result[left] = _of_numbers(kind, share, laid)
    return result


def _of_numbers(kind: Aggregation, share: float, laid: Laid) -> Floats:
    match kind:
        case Aggregation.SUM:
            return laid.total(laid.values)
        case Aggregation.AVERAGE:
            return laid.mean(laid.values)
        case Aggregation.MINIMUM:
            return np.asarray(np.minimum.reduceat(laid.values, laid.starts))
        case Aggregation.MAXIMUM:
            return np.asarray(np.maximum.reduceat(laid.values, laid.starts))
        case Aggregation.COUNT:
            return laid.counts.astype(np.float64)
        case Aggregation.MEDIAN:
            return quantile(laid, 0.5)
        case Aggregation.QUANTILE:
            return quantile(laid, share)
        case Aggregation.STANDARD_DEVIATION:
            return standard_deviation(laid)
    raise ValueError(f"{kind.name} makes no number of a group")
