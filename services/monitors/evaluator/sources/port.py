"""What the evaluator asks of a database of time series, whichever it is."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from monitors.evaluator.model.series import FieldType, SeriesKey
from monitors.evaluator.points import Definition, Points


class SourceSeries(NamedTuple):
    """A series as its source knows it: whose it is in the mesh, the source can't tell.

    `monitor` comes from the tag `monitor_id`, else from `host`, else it's the measurement; `tags` are the others,
    sorted by name. A field whose type has changed in the course of time is a series for each type.
    """

    monitor: str
    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]
    type: FieldType

    def of(self, tenant: str) -> Definition:
        """The same series as one of a tenant's."""
        return Definition(SeriesKey(tenant, self.monitor, self.measurement, self.field, self.tags), self.type)


@dataclass(frozen=True)
class Selection:
    """Which series are wanted; None means all."""

    monitors: tuple[str, ...] | None = None
    """Their ids. There may be many: a source asks for them in several queries if it must."""
    measurements: tuple[str, ...] | None = None
    fields: tuple[str, ...] | None = None


EVERYTHING = Selection()


class Version(NamedTuple):
    """What answers: a major version of InfluxDB, and what the server calls itself."""

    major: int
    said: str


class Source(Protocol):
    """A database of time series that can be read. All of it raises SourceUnavailable and SourceRefused."""

    @property
    def version(self) -> Version:
        """What answers."""

    @property
    def series(self) -> Sequence[SourceSeries]:
        """Every series that an answer has held so far. Grows only, so that a place in it stays that series'."""

    def read(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """All points in the closed range `start`..`end`, in nanoseconds since 1970, part by part.

        `Points.series` holds places in `series`, which are there before the part is. Of each series the points come
        oldest first, one a time: the last that was written. Parts are bounded (some 10,000s of points), so that memory
        is too, and come while the answer is still on its way. An error may come after some of them: what came is
        true, and what is missing isn't known. Whoever leaves early calls `aclose`, which ends the query.
        """

    def newest(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """As `read`, but only the newest point of each series: it tells which monitors and fields there are."""

    async def write(self, lines: bytes) -> None:
        """Writes lines of line protocol whose times count nanoseconds. To write them once more changes nothing.

        Raises WriteRefused if the server refuses any of them, SourceUnavailable if it can't take them now or lets
        nobody write; then they're to be written again.
        """

    async def close(self) -> None:
        """Lets go of the connections."""
