"""Points as line protocol: what a push writes to its source. `lines` reads the same back."""

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.lines import BadLine, parse_head, unescape
from monitors.evaluator.model.arrays import Places
from monitors.evaluator.model.series import FieldType, SeriesKey
from monitors.evaluator.points import Points
from monitors.evaluator.sources.port import SourceSeries

PIECE = 5_000_000
"""How many bytes are written at once, more or less: servers take 25 MB, and answer after the whole."""
_SPECIAL = re.compile(r"([,= ])")
_SPECIAL_OF_MEASUREMENT = re.compile(r"([, ])")
_UNSAYABLE = re.compile(r'\\(?:[,= "]|$)')
"""A backslash takes what follows it for its own, differently in different versions and places."""
_SPECIAL_OF_TEXT = re.compile(r'(["\\])')


class Named(NamedTuple):
    """A series as lines name it: measurement with tags, and field, both escaped."""

    head: str
    field: str
    type: FieldType


def named(series: SourceSeries, monitor_tag: str) -> Named | None:
    """How lines name a series whose monitor is named by a tag, or by the measurement if that's empty; None if not all
    versions would read it so, as of a name that ends with a backslash."""
    tags = {monitor_tag: series.monitor} if monitor_tag else {}
    parts = [_SPECIAL_OF_MEASUREMENT.sub(r"\\\1", series.measurement)]
    parts += [f"{_escaped(name)}={_escaped(value)}" for name, value in sorted((*series.tags, *tags.items()))]
    found = Named(",".join(parts), _escaped(series.field), series.type)
    return found if _says(found, series) else None


def _says(found: Named, series: SourceSeries) -> bool:
    texts = (series.measurement, series.field, series.monitor, *chain.from_iterable(series.tags))
    if found.head.startswith("#") or '="' in series.field or any(_UNSAYABLE.search(text) for text in texts):
        return False
    try:
        head = parse_head(found.head)
    except BadLine:
        return False
    said = SourceSeries(head.monitor, head.measurement, unescape(found.field), head.tags, series.type)
    return said == series


def _escaped(name: str) -> str:
    return _SPECIAL.sub(r"\\\1", name)


def key_of(key: SeriesKey, kind: FieldType) -> SourceSeries:
    """A tenant's series as its source knows it."""
    return SourceSeries(key.monitor, key.measurement, key.field, key.tags, kind)


def lines_of(points: Points, names: Sequence[Named], which: Places) -> Iterator[bytes]:
    """Lines in pieces, with times in nanoseconds. `which` says of each point which of `names` is its series.

    Successive points of one time and the same measurement and tags share a line.
    """
    literals = _literals(points, np.array([one.type for one in names], np.uint8)[which])
    parts, size, begun = list[str](), 0, ("", 0)
    for at, time, literal in zip(which.tolist(), points.times.tolist(), literals, strict=True):
        head, field, _ = names[at]
        if parts and begun == (head, time):
            parts.append(f",{field}={literal}")
        else:
            if parts:
                parts.append(f" {begun[1]}\n")
            if size > PIECE:
                yield "".join(parts).encode()
                parts, size = [], 0
            parts.append(f"{head} {field}={literal}")
            begun = head, time
        size += len(parts[-1])
    if parts:
        parts.append(f" {begun[1]}\n")
        yield "".join(parts).encode()


def _literals(points: Points, types: NDArray[np.uint8]) -> list[str]:
    """The value of each point as line protocol has it."""
    found = np.empty(len(points), object)
    for kind in np.unique(types).tolist():
        some = np.flatnonzero(types == kind)
        values = points.values[some]
        if kind == FieldType.FLOAT:
            told = [repr(value) for value in values.view(np.float64).tolist()]
        elif kind == FieldType.INTEGER:
            told = [f"{value}i" for value in values.view(np.int64).tolist()]
        elif kind == FieldType.UNSIGNED:
            told = [f"{value}u" for value in values.tolist()]
        elif kind == FieldType.BOOLEAN:
            told = ["true" if value else "false" for value in values.tolist()]
        else:
            told = ['"' + _SPECIAL_OF_TEXT.sub(r"\\\1", points.texts[value]) + '"' for value in values.tolist()]
        found[some] = told
    result: list[str] = found.tolist()
    return result
