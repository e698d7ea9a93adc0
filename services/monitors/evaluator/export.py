"""All points of some series, exactly as they were taken, in messages that gRPC takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import pairwise

import numpy as np

from monitors.evaluator.messages import to_key_message
from monitors.evaluator.model.series import Int64s, Series
from monitors.evaluator.points import Mask, Points, compact
from monitors.evaluator.readable import Readable, TooManyPoints
from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2

MESSAGE_POINTS = 100_000
MESSAGE_TEXT = 2_000_000
MESSAGE_DEFINITIONS = 1_000
"""What a message holds at most, so that it stays below the 4 MiB that gRPC takes; text counts in bytes."""


def definition_messages(found: Sequence[Series]) -> Iterator[pb.ExportSeriesResponse]:
    """The series, in their order."""
    for start in range(0, len(found), MESSAGE_DEFINITIONS):
        some = found[start : start + MESSAGE_DEFINITIONS]
        yield pb.ExportSeriesResponse(
            series=[
                pb.SeriesDefinition(key=to_key_message(one.key), type=monitor_pb2.FieldType.ValueType(one.type))
                for one in some
            ]
        )


async def exported_points(store: Readable, found: Sequence[Series], start: int, end: int) -> AsyncIterator[Points]:
    """The points with start <= time <= end, a day or less at a time, by series and time, one of each series and time.

    `series` of the points counts in `found`. Raises InvalidField.
    """
    if end < start:
        raise InvalidField("end_time", "earlier than start_time; send a later one, or none for now")
    oldest = (await store.size()).start
    if not found or oldest is None:
        return
    indexes = np.array([series.index for series in found])
    spans = [(max(start, oldest), end)]
    while spans:
        first, last = spans.pop()
        if first > last:
            continue
        border = min(last, (first // DAY + 1) * DAY - 1)
        try:
            points = await store.read_series(indexes.tolist(), first, border)
        except TooManyPoints:
            middle = first + (border - first) // 2
            spans += [(border + 1, last), (middle + 1, border), (first, middle)]
            continue
        spans.append((border + 1, last))
        for part in await asyncio.to_thread(_parts, points, indexes, store.is_text(points)):
            yield part


def _parts(points: Points, indexes: Int64s, is_text: Mask) -> list[Points]:
    """The points in their order, cut to what fits into messages."""
    order = np.lexsort((points.times, points.series))
    series, times = points.series[order], points.times[order]
    # Of one series and time the one that came last stays; the sort keeps the order of arrival.
    order = order[np.append((series[1:] != series[:-1]) | (times[1:] != times[:-1]), True)] if len(order) else order
    by_index = np.argsort(indexes)
    places = by_index[np.searchsorted(indexes[by_index], points.series[order])].astype(np.int32)
    ordered = Points(places, points.times[order], points.values[order], points.texts)
    is_text = is_text[order]
    cuts = _cuts(ordered, is_text)
    return [compact(ordered.take(np.arange(begin, end)), is_text[begin:end]) for begin, end in pairwise(cuts)]


def _cuts(points: Points, is_text: Mask) -> list[int]:
    """Where messages begin, and the end."""
    if not is_text.any():
        return [*range(0, len(points), MESSAGE_POINTS), len(points)]
    sizes = np.zeros(len(points), np.int64)
    sizes[is_text] = [len(points.texts[place].encode()) for place in points.values[is_text].tolist()]
    total = np.cumsum(sizes)
    cuts = [0]
    while cuts[-1] < len(points):
        begin = cuts[-1]
        fitting = int(np.searchsorted(total, total[begin] - sizes[begin] + MESSAGE_TEXT, side="right"))
        cuts.append(min(max(fitting, begin + 1), begin + MESSAGE_POINTS))
    return cuts


def to_exported(points: Points) -> pb.ExportSeriesResponse:
    """Points, whose `series` counts over the stream, as columns."""
    return pb.ExportSeriesResponse(
        series_indexes=points.series.astype("<u4").tobytes(),
        times=points.times.astype("<i8").tobytes(),
        values=points.values.astype("<u8").tobytes(),
        texts=points.texts,
    )
