"""Time is int64 nanoseconds since 1970, UTC, everywhere inside; protobuf's types at the border."""

import time

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def now_nanos() -> int:
    """The wall clock. Models never call it: time is their argument."""
    return time.time_ns()


def to_timestamp(nanos: int) -> Timestamp:
    """Nanoseconds since 1970 as a Timestamp."""
    seconds, rest = divmod(nanos, SECOND)
    return Timestamp(seconds=seconds, nanos=rest)


def from_timestamp(timestamp: Timestamp) -> int:
    """A Timestamp as nanoseconds since 1970."""
    return timestamp.seconds * SECOND + timestamp.nanos


def to_duration(nanos: int) -> Duration:
    """Nanoseconds as a Duration (whose parts have the same sign)."""
    sign = -1 if nanos < 0 else 1
    seconds, rest = divmod(abs(nanos), SECOND)
    return Duration(seconds=sign * seconds, nanos=sign * rest)


def from_duration(duration: Duration) -> int:
    """A Duration as nanoseconds."""
    return duration.seconds * SECOND + duration.nanos
