"""Points into sealed blocks."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.blocks.layout import (
    DECIMALS,
    TIME_UNITS,
    WHOLE,
    WIDTHS,
    XOR,
    Columns,
    UInts,
    pack,
)
from monitors.evaluator.model.series import FieldType, Int64s
from monitors.evaluator.points import Mask, Points
from monitors.mesh.times import DAY

BLOCK_POINTS = 65_536
"""The most points of a block: one is read as a whole column by column, and its numbers fit the processor's cache."""
PATCH_SHARE = 32
"""A series may have one patch in so many points."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Block:
    """A sealed block and what it's found by. No block holds points of two days (UTC)."""

    first_series: int
    last_series: int
    first_time: int
    last_time: int
    point_count: int
    data: bytes


def seal(points: Points, types: NDArray[np.uint8]) -> Iterator[Block]:
    """All points in blocks, ordered by day, series and time. Of several of one series and time the last one stays.

    `points` come in order of arrival. `types` holds the FieldType of each series, by index.
    """
    for of_day in _by_day(points):
        ordered = of_day.take(_by_series_and_time(of_day))
        for start, end in _cuts(ordered):
            yield _block(_slice(ordered, start, end), types)


def _by_day(points: Points) -> Iterator[Points]:
    days = points.times // DAY
    if len(days) and int(days.min()) == int(days.max()):
        yield points
        return
    order = np.argsort(days, kind="stable")
    borders = np.flatnonzero(np.diff(days[order])) + 1
    for places in np.split(order, borders) if len(order) else ():
        yield points.take(places)


def _by_series_and_time(points: Points) -> Int64s:
    """The places in order of series and time, without those that a later arrival replaces."""
    # numpy sorts 16 bits by radix, and more of them by merging, which is as fast where batches are in order.
    narrow = int(points.series.max()) < 2**16
    order = np.argsort(points.series.astype(np.uint16 if narrow else np.int32), kind="stable")
    series, times = points.series[order], points.times[order]
    same = series[1:] == series[:-1]
    late = same & (times[1:] < times[:-1])
    if late.any():
        mixed = np.zeros(int(series[-1]) + 1, np.bool_)
        mixed[series[1:][late]] = True
        places = np.flatnonzero(mixed[series])
        order[places] = order[places][np.lexsort((times[places], series[places]))]
        times = points.times[order]
    replaced = np.append(same & (times[1:] == times[:-1]), False)
    return order[~replaced] if replaced.any() else order


def _cuts(points: Points) -> Iterator[tuple[int, int]]:
    """Where blocks begin and end: between two series where that's possible."""
    starts = _starts(points)
    begin, count = 0, len(points)
    while begin < count:
        end = min(begin + BLOCK_POINTS, count)
        if end < count:
            border = int(starts[np.searchsorted(starts, end, side="right") - 1])
            end = border if border > begin else end
        yield begin, end
        begin = end


def _slice(points: Points, start: int, end: int) -> Points:
    chosen = slice(start, end)
    return Points(points.series[chosen], points.times[chosen], points.values[chosen], points.texts)


def _starts(points: Points) -> Int64s:
    changes: Int64s = np.flatnonzero(np.append(True, points.series[1:] != points.series[:-1]))
    return changes


def _block(points: Points, types: NDArray[np.uint8]) -> Block:
    starts = _starts(points)
    counts = np.diff(np.append(starts, len(points)))
    series = points.series[starts]
    vector_of, owners = _shared_times(points.times, starts, counts)
    unit, vectors, steps = _times(points.times[np.repeat(owners, counts)], counts[owners])
    kinds, values, patches, texts = _values(points, types[series], starts, counts)
    residuals = _residuals(values, kinds, starts, counts)
    highest = np.maximum.reduceat(residuals, starts)
    widths = np.select([highest == 0, *(highest < 256**width for width in WIDTHS[:-1])], (0, *WIDTHS[:-1]), WIDTHS[-1])
    columns = Columns(
        unit=unit,
        directory=(series, counts, vector_of, kinds, widths, values[starts]),
        vectors=vectors,
        patches=(patches, points.values[patches]),
        texts=texts,
        steps=steps,
        residuals=[residuals[np.repeat(widths == width, counts)] for width in WIDTHS],
    )
    times = points.times
    return Block(int(series[0]), int(series[-1]), int(times.min()), int(times.max()), len(points), pack(columns))


def _shared_times(times: Int64s, starts: Int64s, counts: Int64s) -> tuple[Int64s, Mask]:
    """For each series the place of its time vector, and which series are the ones that vectors are taken from."""
    positions = np.arange(len(times)) - np.repeat(starts, counts)
    weights = (positions.astype(np.uint64) * 2 + 1) * _MIX
    marks = np.add.reduceat(times.view(np.uint64) * (weights ^ (weights >> np.uint64(29))), starts)
    _, first, group = np.unique(marks + counts.astype(np.uint64) * _MIX, return_index=True, return_inverse=True)
    owner = first[group]
    # Equal marks are equal times but for an accident, which this notices.
    if (counts != counts[owner]).any() or (times != times[np.repeat(starts[owner], counts) + positions]).any():
        return np.arange(len(starts)), np.ones(len(starts), np.bool_)
    owners = np.zeros(len(starts), np.bool_)
    owners[first] = True
    return (np.cumsum(owners) - 1)[owner], owners


def _times(times: Int64s, lengths: Int64s) -> tuple[int, tuple[Int64s, UInts, UInts], UInts]:
    """The unit, the columns of the vectors, and of each step what it exceeds its vector's least one by, in units."""
    starts = np.cumsum(lengths) - lengths
    raw = times.view(np.uint64)
    steps = np.append(np.uint64(0), raw[1:] - raw[:-1])
    # A vector's first point has no step; it must be neither the least nor more than that.
    steps[starts] = np.iinfo(np.uint64).max
    least = np.where(lengths > 1, np.minimum.reduceat(steps, starts), 0).astype(np.uint64)
    steps[starts] = least
    steps -= np.repeat(least, lengths)
    unit = next(place for place in reversed(range(len(TIME_UNITS))) if _all_multiples(steps, TIME_UNITS[place]))
    return unit, (lengths, raw[starts], least), steps // np.uint64(TIME_UNITS[unit])


def _all_multiples(numbers: UInts, unit: int) -> bool:
    # Most often the first few tell already.
    return not (numbers[:64] % np.uint64(unit)).any() and not (numbers % np.uint64(unit)).any()


def _values(
    points: Points, types: NDArray[np.uint8], starts: Int64s, counts: Int64s
) -> tuple[NDArray[np.uint8], UInts, Int64s, list[bytes]]:
    """Each series' kind, the values as 64-bit numbers that `_residuals` takes, the places of patches, and the texts."""
    kinds = np.full(len(starts), WHOLE, np.uint8)
    values = points.values.copy()
    patches, texts = np.empty(0, np.int64), dict[str, int]()
    doubles = types == FieldType.FLOAT
    if doubles.any():
        places = None if doubles.all() else np.flatnonzero(np.repeat(doubles, counts))
        own = points.values if places is None else points.values[places]
        kinds[doubles], own, patches = _decimals(own, counts[doubles])
        if places is None:
            values = own
        else:
            values[places], patches = own, places[patches]
    is_text = types == FieldType.STRING
    if is_text.any():
        mask = np.repeat(is_text, counts)
        names = (points.texts[place] for place in points.values[mask].tolist())
        values[mask] = [texts.setdefault(name, len(texts)) for name in names]
    return kinds, values, patches, [text.encode() for text in texts]


def _decimals(bits: UInts, counts: Int64s) -> tuple[NDArray[np.uint8], UInts, Int64s]:
    """Series of doubles: their kinds, integers instead of the decimals among them, and the places of patches.

    What divides by the power of ten to the very double, to the last bit, is exact when it's read again.
    """
    kinds = np.full(len(counts), XOR, np.uint8)
    result = bits.copy()
    patches = [np.empty(0, np.int64)]
    rows, places, own = np.arange(len(counts)), np.arange(len(bits)), bits
    for digits in range(DECIMALS + 1):
        with np.errstate(all="ignore"):
            whole = np.rint(own.view(np.float64) * 10.0**digits).astype(np.int64)
            wrong = (whole / 10.0**digits).view(np.uint64) != own
        own_counts = counts[rows]
        starts = np.cumsum(own_counts) - own_counts
        fits = np.add.reduceat(wrong, starts, dtype=np.int64) <= own_counts // PATCH_SHARE
        if fits.any():
            kinds[rows[fits]] = digits
            taken = np.repeat(fits, own_counts)
            whole[wrong] = 0
            result[places[taken]] = whole[taken].view(np.uint64)
            patches.append(places[taken & wrong])
            if fits.all():
                break
            rows, places, own = rows[~fits], places[~taken], own[~taken]
    return kinds, result, np.sort(np.concatenate(patches))


def _residuals(values: UInts, kinds: NDArray[np.uint8], starts: Int64s, counts: Int64s) -> UInts:
    """What a value adds to the one before it in its series; 0 for the first."""
    differences = np.append(np.uint64(0), values[1:] - values[:-1])
    residuals: UInts = (differences << np.uint64(1)) ^ (differences.view(np.int64) >> 63).view(np.uint64)
    by_bits = kinds == XOR
    if by_bits.any():
        mixed = np.append(np.uint64(0), values[1:] ^ values[:-1])
        residuals = mixed if by_bits.all() else np.where(np.repeat(by_bits, counts), mixed, residuals)
    residuals[starts] = 0
    return residuals
