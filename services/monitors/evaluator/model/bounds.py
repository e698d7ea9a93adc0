"""Comparisons with numbers, all said in one form."""

import math
import struct
from enum import IntEnum
from typing import NamedTuple


class Operator(IntEnum):
    """How a value is compared with the threshold; the numbers are those of monitors.v1.ComparisonOperator."""

    GREATER = 1
    GREATER_OR_EQUAL = 2
    LESS = 3
    LESS_OR_EQUAL = 4
    EQUAL = 5
    NOT_EQUAL = 6


class Bounds(NamedTuple):
    """What a value is compared with: true from `low` to `high`, both included, or with `outside` everywhere else.

    Every comparison with numbers can be said like this, exactly, so that all rules are compared in the same way.
    """

    low: float
    high: float
    outside: bool = False

    def hold(self, value: float) -> bool:
        """Whether it's true of a number."""
        return (self.low <= value <= self.high) is not self.outside


def bounds(operator: Operator, threshold: float, tolerance: float = 0.0) -> Bounds:
    """The bounds of a comparison with a finite threshold. The tolerance counts for EQUAL and NOT_EQUAL."""
    match operator:
        case Operator.GREATER:
            return Bounds(math.nextafter(threshold, math.inf), math.inf)
        case Operator.GREATER_OR_EQUAL:
            return Bounds(threshold, math.inf)
        case Operator.LESS:
            return Bounds(-math.inf, math.nextafter(threshold, -math.inf))
        case Operator.LESS_OR_EQUAL:
            return Bounds(-math.inf, threshold)
    outside = operator is Operator.NOT_EQUAL
    if not tolerance:
        return Bounds(threshold, threshold, outside)
    # Downwards is upwards, seen in a mirror.
    return Bounds(-_farthest(-threshold, tolerance), _farthest(threshold, tolerance), outside)


def _farthest(threshold: float, tolerance: float) -> float:
    """The greatest number whose difference from the threshold, as it is rounded, is within the tolerance."""
    near, far = _rank(threshold), _rank(math.inf)
    while far - near > 1:
        middle = (near + far) // 2
        if _of_rank(middle) - threshold <= tolerance:
            near = middle
        else:
            far = middle
    return _of_rank(near)


def _rank(number: float) -> int:
    """The place of a double in the order of all doubles, 0 for zero."""
    bits = int.from_bytes(struct.pack(">d", abs(number)))
    return bits if number > 0 else -bits


def _of_rank(rank: int) -> float:
    (number,) = struct.unpack(">d", abs(rank).to_bytes(8))
    return float(math.copysign(number, rank))
