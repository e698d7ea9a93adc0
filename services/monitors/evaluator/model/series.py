"""Series and points, the values that pass from the store to the window."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int32s = NDArray[np.int32]
Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]


class FieldType(IntEnum):
    """What a field holds; the numbers are those of monitors.v1.FieldType."""

    FLOAT = 1
    INTEGER = 2
    UNSIGNED = 3
    BOOLEAN = 4
    STRING = 5


class SeriesKey(NamedTuple):
    """What identifies a series. `tags` are sorted by name and lack the tag that names the monitor."""

    tenant: str
    monitor: str
    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Series:
    """A series that the store knows. `index` is dense, from 0, and never changes."""

    index: int
    key: SeriesKey
    type: FieldType


class Arrival(IntEnum):
    """How a batch came, which says how it's taken; see `arrivals`."""

    PUSHED = 0
    """Its points came when it was accepted. What was due by then was due without them."""
    POLLED = 1
    """It's all that its source has since the batch before; it's evaluated in the order of the points' times."""
    AFTER_OUTAGE = 2
    """The same, of a time when the source couldn't be reached: what is missing may never have been written."""
    SKIPPED = 3
    """The same, of a time that is too long ago to be evaluated."""
    AHEAD = 4
    """Its points were pushed while time passes with what is polled: they're evaluated before their time is complete."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Points that became durable together: one entry of each array for each point, in order of arrival.

    `values` holds every number as a float64 (booleans as 0 and 1, texts as their codes), as the window needs it.
    """

    number: int
    """Grows with each batch; the place in the history from which evaluation goes on after a restart."""
    accepted_at: int
    """The wall clock in nanoseconds when it was accepted: the `now` that it was, or will be, evaluated at. Of what is
    polled, the time up to which it holds everything, which is also its number."""
    series: Int32s
    times: Int64s
    values: Floats = field(repr=False)
    arrival: Arrival = Arrival.PUSHED
    traceparents: tuple[str, ...] = ()
    """The places in traces, each a W3C `traceparent`, that it comes from, as far as they are followed."""
