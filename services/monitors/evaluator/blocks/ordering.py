"""Points in order of arrival, cut into what becomes blocks: ordered by day, series and time, one point of each time.

A range of series is ordered at a time, so that what is worked on stays in the processor's cache.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import FieldType, Int64s
from monitors.evaluator.points import Mask, Points, compact, join
from monitors.mesh.times import DAY

BLOCK_POINTS = 65_536
"""The most points of a block: one is read as a whole column by column, and its numbers fit the processor's cache."""


def ordered(parts: Sequence[Points], types: NDArray[np.uint8]) -> Iterator[Points]:
    """The points of each block. `parts` follow one another as they came; `types` holds the FieldType of each series."""
    for of_day in _by_day([part for part in parts if len(part)], types):
        by_series = [_by_series(part) for part in of_day]
        for part in _by_range_of_series(by_series, types):
            points = _transposed_ticks(part) or part.take(_by_series_and_time(part))
            for start, end in _cuts(points):
                yield _slice(points, start, end)


def _by_day(parts: Sequence[Points], types: NDArray[np.uint8]) -> Iterator[Sequence[Points]]:
    if not parts:
        return
    first, last = min(int(part.times.min()) for part in parts), max(int(part.times.max()) for part in parts)
    if first // DAY == last // DAY:
        yield parts
        return
    points = _join(parts, types)
    days = points.times // DAY
    order = np.argsort(days, kind="stable")
    borders = np.flatnonzero(np.diff(days[order])) + 1
    for places in np.split(order, borders):
        yield [points.take(places)]


def _join(parts: Sequence[Points], types: NDArray[np.uint8]) -> Points:
    return join(parts, [types[part.series] == FieldType.STRING if part.texts else _NO_TEXTS for part in parts])


_NO_TEXTS: Mask = np.empty(0, np.bool_)


def _by_series(points: Points) -> Points:
    """The points by series, and those of a series as they came. Most often a sender's order is that already."""
    if (points.series[1:] >= points.series[:-1]).all():
        return points
    return points.take(_argsort(points.series))


def _argsort(series: NDArray[np.int32]) -> Int64s:
    least = int(series.min())
    # numpy sorts 16 bits by radix, and more of them by merging, which is as fast where batches are in order.
    narrow = int(series.max()) - least < 2**16
    return np.argsort((series - least).astype(np.uint16) if narrow else series, kind="stable")


def _by_range_of_series(parts: Sequence[Points], types: NDArray[np.uint8]) -> Iterator[Points]:
    """The points by ranges of series that fit into a block; one with more points than that is by itself."""
    limits = _limits(parts)
    places = [np.searchsorted(part.series, limits).tolist() for part in parts]
    for place in range(len(limits) - 1):
        pieces = [
            _slice(part, at[place], at[place + 1])
            for part, at in zip(parts, places, strict=True)
            if at[place] < at[place + 1]
        ]
        yield _join([_compact(piece, types) for piece in pieces], types)


def _limits(parts: Sequence[Points]) -> list[int]:
    """Where ranges of series begin, and the end of the last one."""
    least, most = min(int(part.series[0]) for part in parts), max(int(part.series[-1]) for part in parts)
    counts = np.zeros(most - least + 1, np.int64)
    for part in parts:
        np.add.at(counts, part.series - least, 1)
    ends, limits, done = np.cumsum(counts), [0], 0
    while done < ends[-1]:
        # What the range would have too much by ends it; series without points add nothing.
        limits.append(max(int(np.searchsorted(ends, done + BLOCK_POINTS, side="right")), limits[-1] + 1))
        done = int(ends[limits[-1] - 1])
    return [least + limit for limit in limits]


def _compact(points: Points, types: NDArray[np.uint8]) -> Points:
    return compact(points, types[points.series] == FieldType.STRING) if points.texts else points


def _transposed_ticks(points: Points) -> Points | None:
    """The points by series and time if they are ticks: the same series in order, again and again, each time later."""
    first_again = np.flatnonzero(points.series == points.series[0])[1:2]
    width = int(first_again[0]) if len(first_again) else len(points)
    if len(points) % width:
        return None
    series, times = points.series[:width], points.times.reshape(-1, width)
    if (series[1:] <= series[:-1]).any() or (times[1:] <= times[:-1]).any():
        return None
    if (points.series.reshape(-1, width) != series).any():
        return None
    values = points.values.reshape(-1, width)
    return Points(np.repeat(series, len(times)), times.T.reshape(-1), values.T.reshape(-1), points.texts)


def _by_series_and_time(points: Points) -> Int64s:
    """The places in order of series and time, without those that a later arrival replaces."""
    order = _argsort(points.series)
    series, times = points.series[order], points.times[order]
    same = series[1:] == series[:-1]
    if (same & (times[1:] < times[:-1])).any():
        order = np.lexsort((points.times, points.series))
        times = points.times[order]
    replaced = np.append(same & (times[1:] == times[:-1]), False)
    return order[~replaced] if replaced.any() else order


def _cuts(points: Points) -> Iterator[tuple[int, int]]:
    """Where blocks begin and end: only a series that is alone in its range may have more points than a block."""
    for begin in range(0, len(points), BLOCK_POINTS):
        yield begin, min(begin + BLOCK_POINTS, len(points))


def _slice(points: Points, start: int, end: int) -> Points:
    chosen = slice(start, end)
    return Points(points.series[chosen], points.times[chosen], points.values[chosen], points.texts)
