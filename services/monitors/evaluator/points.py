"""Points as columns, exactly as they were measured: what passes from the senders to the store and back."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import FieldType, Floats, Int32s, Int64s, SeriesKey
from monitors.evaluator.model.texts import code_of

Bits = NDArray[np.uint64]
Mask = NDArray[np.bool_]

_HEADER = struct.Struct("<II")
_RUN, _SAME_TIME, _NEAR_TIMES = 1 << 31, 1 << 30, 1 << 29
_FLAGS = _RUN | _SAME_TIME | _NEAR_TIMES


@dataclass(frozen=True)
class Points:
    """Points in order of arrival: one entry of `series`, `times` and `values` for each.

    `values` holds 8 bytes a point that mean what the series' type says: a double, an int64, a uint64, 0 or 1, or the
    place of a text in `texts`. So every value is kept to the last bit.
    """

    series: Int32s
    times: Int64s
    values: Bits
    texts: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.times)

    def take(self, chosen: Mask | Int64s) -> "Points":
        """Those that a mask or an array of places chooses; the texts stay."""
        return Points(self.series[chosen], self.times[chosen], self.values[chosen], self.texts)


EMPTY = Points(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.uint64))


class Definition(NamedTuple):
    """A series as its sender names it."""

    key: SeriesKey
    type: FieldType


@dataclass(frozen=True, slots=True)
class Submission:
    """What one sender sends at once.

    An entry of `points.series` is the index that the catalogue gave, or, for a series whose index the sender hasn't
    got, `~number` of one of `definitions`.
    """

    tenant: str
    definitions: Mapping[int, Definition]
    points: Points


def join(parts: Sequence[Points], text_masks: Sequence[Mask]) -> Points:
    """All points one after the other. `text_masks` says for each part which points hold texts."""
    if len(parts) == 1:
        return parts[0]
    values, texts = [], list[str]()
    for part, is_text in zip(parts, text_masks, strict=True):
        moved = part.values
        if texts and part.texts:
            moved = np.where(is_text, moved + np.uint64(len(texts)), moved)
        values.append(moved)
        texts.extend(part.texts)
    return Points(
        np.concatenate([part.series for part in parts]),
        np.concatenate([part.times for part in parts]),
        np.concatenate(values),
        tuple(texts),
    )


def compact(points: Points, is_text: Mask) -> Points:
    """The same points with only the texts that they name."""
    if not points.texts:
        return points
    values = points.values.copy()
    texts = tuple(points.texts[place] for place in values[is_text].tolist())
    values[is_text] = np.arange(len(texts), dtype=np.uint64)
    return Points(points.series, points.times, values, texts)


def encode(points: Points) -> bytes:
    """Little-endian columns: counts of points and texts, series, times, values, the texts' lengths, the texts.

    The count of texts carries three flags: the series are a run of which only the first is there; the times are all the
    same and there once; the times are 4 bytes that count from one of 8. A tick of a collector takes 8 bytes a point.
    """
    texts = [text.encode() for text in points.texts]
    flags, series, times = 0, points.series, points.times
    if len(points):
        if run_of(series):
            flags, series = flags | _RUN, series[:1]
        # As Python's integers, since the difference of two of the others may not fit one.
        base, last = int(times.min()), int(times.max())
        if base == last:
            flags, times = flags | _SAME_TIME, times[:1]
        elif last - base < 2**32:
            flags |= _NEAR_TIMES
    columns: list[bytes | memoryview] = [_HEADER.pack(len(points), len(texts) | flags), _plain(series, "<i4")]
    if flags & _NEAR_TIMES:
        columns += [struct.pack("<q", base), _plain(times - base, "<u4")]
    else:
        columns.append(_plain(times, "<i8"))
    lengths = np.array([len(text) for text in texts], "<u4")
    return b"".join((*columns, _plain(points.values, "<u8"), lengths.data, *texts))


def run_of(series: Int32s) -> slice | None:
    """The places of a table that series count up, one by one, as those of a tick do; None if they don't."""
    first, last = int(series[0]), int(series[-1])
    if last - first != len(series) - 1 or (series[1:] - series[:-1] != 1).any():
        return None
    return slice(first, last + 1)


def _plain(column: NDArray[Any], kind: str) -> memoryview:
    return np.ascontiguousarray(column, kind).data


def decode(blob: bytes) -> Points:
    """The points that `encode` wrote. The arrays may be read-only, views of the blob or shared with other points."""
    count, text_count = _HEADER.unpack_from(blob)
    flags, text_count = text_count & _FLAGS, text_count & ~_FLAGS
    place = _HEADER.size

    def column(kind: str, length: int) -> NDArray[Any]:
        nonlocal place
        found: NDArray[Any] = np.frombuffer(blob, kind, length, place)
        place += found.nbytes
        return found

    series = _counting_up(int(column("<i4", 1)[0]), count) if flags & _RUN else column("<i4", count)
    if flags & _SAME_TIME:
        # One number, however often it's looked at: nobody writes here.
        times = np.broadcast_to(column("<i8", 1), count)
    elif flags & _NEAR_TIMES:
        times = column("<i8", 1)[0] + column("<u4", count)
    else:
        times = column("<i8", count)
    return Points(series, times, column("<u8", count), tuple(_decode_texts(blob, place, text_count)))


@lru_cache(maxsize=2)
def _counting_up(first: int, count: int) -> Int32s:
    """The series of a run. Those of one tick after the other are the same, and so is their array: not to be written."""
    run = np.arange(first, first + count, dtype=np.int32)
    run.flags.writeable = False
    return run


def _decode_texts(blob: bytes | bytearray, lengths_at: int, count: int) -> Iterator[str]:
    start = lengths_at + 4 * count
    for length in np.frombuffer(blob, "<u4", count, lengths_at).tolist():
        yield blob[start : start + length].decode()
        start += length


def numbers(values: Bits, types: NDArray[np.uint8]) -> Floats:
    """The values as float64: booleans as 0 and 1, texts as NaN. `types` holds the FieldType of each point's series."""
    floats = values.view(np.float64)
    if (types == FieldType.FLOAT).all():
        return floats
    result = floats.copy()
    for kind, dtype in ((FieldType.INTEGER, np.int64), (FieldType.UNSIGNED, np.uint64), (FieldType.BOOLEAN, np.uint64)):
        chosen = types == kind
        result[chosen] = values[chosen].view(dtype).astype(np.float64)
    result[types == FieldType.STRING] = np.nan
    return result


def codes(points: Points, is_text: Mask) -> Floats:
    """The numbers that stand for the texts of those points that hold one; each text is hashed once."""
    named, which = np.unique(points.values[is_text], return_inverse=True)
    texts = [points.texts[place] for place in named.tolist()]
    known = {text: code_of(text) for text in set(texts)}
    found: Floats = np.array([known[text] for text in texts], np.float64)[which]
    return found


def in_time_order(points: Points) -> Points:
    """The points of one series, oldest first, one a time: the last that came."""
    order = np.argsort(points.times, kind="stable")
    times = points.times[order]
    last = np.append(times[1:] != times[:-1], True) if len(times) else np.empty(0, np.bool_)
    return points.take(order[last])


def thinned_places(times: Int64s, values: Floats, limit: int) -> Int64s:
    """The places of at most `limit` points that draw the same line: the least and greatest of equal steps of time.

    `times` ascend. A step without a number (texts, NaN) gives its first and last point.
    """
    if len(times) <= limit:
        return np.arange(len(times))
    steps = max(limit // 2, 1)
    # In floats, since the span of two int64 may not fit one; an edge that moves by a rounding error does no harm.
    span = max(float(times[-1]) - float(times[0]), 1.0)
    offsets = times.astype(np.float64) - float(times[0])
    step = np.minimum((offsets / span * steps).astype(np.int64), steps - 1)
    places = np.arange(len(times))
    # NaN sorts last either way, so that it's chosen only where there's nothing else.
    lowest = np.lexsort((places, values, step))
    highest = np.lexsort((-places, -values, step))
    first_of_step = np.append(True, step[1:] != step[:-1])
    chosen = np.concatenate((lowest[first_of_step], highest[first_of_step]))
    return np.unique(chosen)
