"""What the tests of sources share: a source in a test without a loop, and points as a test compares them."""

import math
import re
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import NamedTuple

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Points
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.port import EVERYTHING, Selection, Source, SourceSeries
from monitors.evaluator.sources.settings import InfluxSettings
from tests.harness import LoopThread

Value = float | int | bool | str
Told = tuple[SourceSeries, int, Value]
T0 = 1_764_000_000_000_000_000
ALWAYS = (-(2**63), 2**63 - 1)


@asynccontextmanager
async def opened(settings: InfluxSettings) -> AsyncIterator[Source]:
    """A source, closed at the end."""
    source = await open_source(settings)
    try:
        yield source
    finally:
        await source.close()


class Reader:
    """A source, asked by a test that waits for the whole answer."""

    def __init__(self, source: Source, loop_thread: LoopThread) -> None:
        self.source = source
        self._loop_thread = loop_thread

    def read(self, selection: Selection = EVERYTHING, start: int = ALWAYS[0], end: int = ALWAYS[1]) -> list[Told]:
        """All points in the order in which they come."""
        return self._told(self.source.read(selection, start, end))

    def newest(self, selection: Selection = EVERYTHING, start: int = ALWAYS[0], end: int = ALWAYS[1]) -> list[Told]:
        """The newest points."""
        return self._told(self.source.newest(selection, start, end))

    def parts(self, selection: Selection = EVERYTHING, start: int = ALWAYS[0], end: int = ALWAYS[1]) -> list[Points]:
        """The parts as they come."""
        return self._loop_thread.run(_all(self.source.read(selection, start, end)))

    def _told(self, answer: AsyncIterator[Points]) -> list[Told]:
        parts = self._loop_thread.run(_all(answer))
        return [told for part in parts for told in told_by(part, self.source.series)]


async def _all(answer: AsyncIterator[Points]) -> list[Points]:
    return [part async for part in answer]


def told_by(points: Points, known: Sequence[SourceSeries]) -> list[Told]:
    """Points with their values as Python has them."""
    found = []
    columns = zip(points.series.tolist(), points.times.tolist(), points.values.tolist(), strict=True)
    for place, time, bits in columns:
        series = known[place]
        found.append((series, time, _value(bits, series.type, points.texts)))
    return found


def _value(bits: int, kind: FieldType, texts: tuple[str, ...]) -> Value:
    if kind == FieldType.STRING:
        return texts[bits]
    if kind == FieldType.BOOLEAN:
        return bool(bits)
    if kind == FieldType.UNSIGNED:
        return bits
    number: float | int = struct.unpack("<d" if kind == FieldType.FLOAT else "<q", struct.pack("<Q", bits))[0]
    return number


class Written(NamedTuple):
    """A point of one field, to be written as a line."""

    measurement: str
    tags: dict[str, str]
    field: str
    value: Value
    time: int

    @property
    def line(self) -> str:
        """The line."""
        head = ",".join([escape(self.measurement), *(f"{escape(k)}={escape(v)}" for k, v in self.tags.items())])
        return f"{head} {escape(self.field)}={literal(self.value)} {self.time}"


def escape(name: str) -> str:
    """A name as line protocol has it."""
    return re.sub(r"([,= ])", r"\\\1", name)


def literal(value: Value) -> str:
    """A value as line protocol has it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        assert math.isfinite(value)
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Database(NamedTuple):
    """A server that a contract is tried on."""

    name: str
    settings: InfluxSettings
    write: Callable[[str], None]
    renew: Callable[[], None]
    """Empties the bucket."""

    def opened(self) -> AbstractAsyncContextManager[Source]:
        """A source of it."""
        return opened(self.settings)
