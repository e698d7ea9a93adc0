"""Numbers, bounds and times as an explanation says them."""

import json
import math
from collections.abc import Collection
from datetime import UTC, datetime

from monitors.evaluator.model.bounds import Bounds
from monitors.evaluator.model.texts import code_of
from monitors.mesh.quantities import format_number
from monitors.mesh.times import SECOND


def in_bounds(bounds: Bounds, texts: Collection[str] = ()) -> str:
    """Bounds as they were said: `> 90`, `outside 20..400`, `== "down"` if one of the texts is meant."""
    low, high = bounds.low, bounds.high
    for text in texts:
        if code_of(text) == low:
            return f"{'!=' if bounds.outside else '=='} {quoted(text)}"
    side = "outside" if bounds.outside else "inside"
    if low == -math.inf and not bounds.outside:
        return _beyond(high, math.nextafter(high, math.inf), "<=", "<")
    if high == math.inf and not bounds.outside:
        return _beyond(low, math.nextafter(low, -math.inf), ">=", ">")
    return f"{side} {format_number(low)}..{format_number(high)}"


def quoted(text: str) -> str:
    """A text in quotes."""
    return json.dumps(text, ensure_ascii=False)


def _beyond(bound: float, next_to_it: float, inclusive: str, strict: str) -> str:
    """A bound as it was said: of a strict one the number beside it is kept."""
    said, other = format_number(bound), format_number(next_to_it)
    return f"{strict} {other}" if len(other) < len(said) else f"{inclusive} {said}"


def at(nanos: int) -> str:
    """A time, as RFC 3339 in UTC; a person needs no more than its milliseconds."""
    seconds, rest = divmod(nanos, SECOND)
    fraction = f".{rest * 1_000 // SECOND:03d}".rstrip("0").removesuffix(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
