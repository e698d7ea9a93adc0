"""Points into sealed blocks."""

from collections.abc import Iterator, Sequence
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
    ranges,
)
from monitors.evaluator.blocks.ordering import ordered
from monitors.evaluator.model.series import FieldType, Int64s
from monitors.evaluator.points import Mask, Points

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


def seal(parts: Sequence[Points], types: NDArray[np.uint8]) -> Iterator[Block]:
    """All points in blocks, ordered by day, series and time. Of several of one series and time the last one stays.

    `parts` follow one another as they came. `types` holds the FieldType of each series, by index.
    """
    for points in ordered(parts, types):
        yield _block(points, types)


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
    count = int(counts[0])
    if (counts == count).all() and (times.reshape(-1, count) == times[:count]).all():
        # The ticks of a collector.
        return np.zeros(len(starts), np.int64), np.arange(len(starts)) == 0
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
    """Series of doubles: their kinds, integers instead of the decimals among them, and the places of patches."""
    kinds = np.full(len(counts), XOR, np.uint8)
    result = bits.copy()
    patches = [np.empty(0, np.int64)]
    starts = np.cumsum(counts) - counts
    # What a series' first and middle value need is tried first: less would do only if they were patches.
    first, middle = _digits(np.concatenate((bits[starts], bits[starts + counts // 2]))).reshape(2, -1)
    least = np.where(counts < PATCH_SHARE, np.maximum(first, middle), np.minimum(first, middle))
    rows = np.arange(len(counts))
    for digits in range(int(least.min()), DECIMALS + 1):
        tried = rows[least[rows] <= digits]
        if not len(tried):
            continue
        places = None if len(tried) == len(counts) else ranges(starts[tried], counts[tried])
        whole, wrong = _scaled(bits if places is None else bits[places], digits)
        own_counts = counts[tried]
        fits = np.add.reduceat(wrong, np.cumsum(own_counts) - own_counts, dtype=np.int64) <= own_counts // PATCH_SHARE
        if fits.any():
            kinds[tried[fits]] = digits
            whole[wrong] = 0
            taken = np.repeat(fits, own_counts)
            if places is None:
                np.copyto(result, whole.view(np.uint64), where=taken)
                patches.append(np.flatnonzero(taken & wrong))
            else:
                result[places[taken]] = whole[taken].view(np.uint64)
                patches.append(places[taken & wrong])
            rows = rows[kinds[rows] == XOR]
    return kinds, result, np.sort(np.concatenate(patches))


def _digits(bits: UInts) -> NDArray[np.int64]:
    """With how many digits after the point each double can be written; more than DECIMALS if it's no short decimal."""
    needed = np.full(len(bits), DECIMALS + 1)
    left = np.arange(len(bits))
    for digits in range(DECIMALS + 1):
        if not len(left):
            break
        _, wrong = _scaled(bits[left], digits)
        needed[left[~wrong]] = digits
        left = left[wrong]
    return needed


def _scaled(bits: UInts, digits: int) -> tuple[Int64s, Mask]:
    """The doubles times a power of ten as integers, and which of them aren't the same to the last bit when read again.

    It's exact if the integer divides by the power of ten to the very double.
    """
    with np.errstate(all="ignore"):
        whole = np.rint(bits.view(np.float64) * 10.0**digits).astype(np.int64)
        return whole, (whole / 10.0**digits).view(np.uint64) != bits


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
