"""Sealed blocks back into points."""

import numpy as np

from monitors.evaluator.blocks.layout import (
    DECIMALS,
    TIME_UNITS,
    WIDTHS,
    XOR,
    DamagedBlock,
    Numbers,
    Packed,
    UInts,
    ranges,
)
from monitors.evaluator.model.series import Int32s, Int64s
from monitors.evaluator.points import EMPTY, Points

_INT64 = np.iinfo(np.int64)


def open_block(data: bytes, wanted: Int32s | None = None, start: int = _INT64.min, end: int = _INT64.max) -> Points:
    """The block's points with start <= time <= end, by series and time; only of the series `wanted`, if it's given.

    Raises DamagedBlock.
    """
    packed = Packed(data)
    series, counts, vector_of, kinds, widths, heads = packed.directory()
    counts = counts.astype(np.int64)
    if counts.sum() != packed.header.points:
        raise DamagedBlock("the block's directory doesn't add up")
    rows = np.arange(len(series)) if wanted is None else np.flatnonzero(np.isin(series, wanted.astype(np.uint32)))
    if not len(rows):
        return EMPTY
    lengths = counts[rows]
    times = _times(packed, vector_of[rows].astype(np.int64))
    values = _values(packed, counts, kinds, widths, heads.astype(np.uint64), rows)
    points = Points(np.repeat(series[rows].astype(np.int32), lengths), times, values, packed.texts())
    timely = (times >= start) & (times <= end)
    return points if timely.all() else points.take(timely)


def _times(packed: Packed, vectors: Int64s) -> Int64s:
    """The times of each vector that is named, one after the other."""
    lengths, firsts, least = packed.vectors()
    lengths = lengths.astype(np.int64)
    starts = np.cumsum(lengths) - lengths
    steps = packed.steps(int(lengths.sum())).astype(np.uint64)
    steps *= np.uint64(TIME_UNITS[packed.header.unit])
    steps += np.repeat(least.astype(np.uint64), lengths)
    times = np.cumsum(steps, dtype=np.uint64)
    times += np.repeat(firsts.astype(np.uint64) - times[starts], lengths)
    return times[ranges(starts[vectors], lengths[vectors])].view(np.int64)


def _values(
    packed: Packed,
    counts: Int64s,
    kinds: Numbers,
    widths: Numbers,
    heads: UInts,
    rows: Int64s,
) -> UInts:
    """The values of the series in `rows`, one series after the other."""
    lengths = counts[rows]
    starts = np.cumsum(lengths) - lengths
    residuals = np.zeros(int(lengths.sum()), np.uint64)
    for width in WIDTHS:
        of_width = widths == width
        chosen = of_width[rows]
        if chosen.any():
            places = np.cumsum(np.where(of_width, counts, 0))[rows] - lengths
            column = packed.residuals(width, int(counts[of_width].sum()))
            residuals[ranges(starts[chosen], lengths[chosen])] = column[ranges(places[chosen], lengths[chosen])]
    own = kinds[rows]
    values = _added(residuals, heads[rows], starts, lengths)
    by_bits = own == XOR
    if by_bits.any():
        mixed = np.bitwise_xor.accumulate(residuals)
        mixed ^= np.repeat(mixed[starts] ^ heads[rows], lengths)
        values = np.where(np.repeat(by_bits, lengths), mixed, values)
    for digits in range(DECIMALS + 1):
        of_kind = own == digits
        if of_kind.any():
            places = np.repeat(of_kind, lengths)
            values[places] = (values[places].view(np.int64) / 10.0**digits).view(np.uint64)
    if packed.header.patches:
        _patch(values, packed, np.cumsum(counts) - counts, rows, starts)
    return values


def _added(residuals: UInts, heads: UInts, starts: Int64s, lengths: Int64s) -> UInts:
    differences = (residuals >> np.uint64(1)) ^ (np.uint64(0) - (residuals & np.uint64(1)))
    values: UInts = np.cumsum(differences, dtype=np.uint64)
    values += np.repeat(heads - values[starts], lengths)
    return values


def _patch(values: UInts, packed: Packed, all_starts: Int64s, rows: Int64s, starts: Int64s) -> None:
    places, bits = packed.patches()
    owners = np.searchsorted(all_starts, places.astype(np.int64), side="right") - 1
    slots = np.minimum(np.searchsorted(rows, owners), len(rows) - 1)
    chosen = rows[slots] == owners
    offsets = places.astype(np.int64) - all_starts[owners]
    values[(starts[slots] + offsets)[chosen]] = bits.astype(np.uint64)[chosen]
