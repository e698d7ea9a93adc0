"""The levels of profiles: by severity the bounds that enter it, and those that must hold to leave it downwards."""

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import Booleans
from monitors.evaluator.model.bounds import Bounds
from monitors.evaluator.model.series import Floats, Int32s
from monitors.evaluator.model.spec import RuleSpec, Severity

Levels = NDArray[np.int8]
"""Severities, 0 where there is none."""
SIZE = max(Severity) + 1
_NOWHERE, _EVERYWHERE = Bounds(np.inf, -np.inf), Bounds(-np.inf, np.inf)


class _Tests:
    """Bounds by severity and profile; `absent` where none were put."""

    def __init__(self, absent: Bounds) -> None:
        self._absent = absent
        self._low: Floats = np.empty((SIZE, 0))
        self._high: Floats = np.empty((SIZE, 0))
        self._outside: Booleans = np.empty((SIZE, 0), dtype=np.bool_)

    def reserve(self, size: int) -> None:
        """Makes room for the profiles with numbers below `size`."""
        more = size - self._low.shape[1]
        for name, value in zip(("_low", "_high", "_outside"), self._absent, strict=True):
            column = getattr(self, name)
            setattr(self, name, np.hstack([column, np.full((SIZE, more), value, dtype=column.dtype)]))

    def put(self, severity: int | slice, profile: int, bounds: Bounds | None) -> None:
        """Sets one test, or several."""
        low, high, outside = bounds or self._absent
        self._low[severity, profile], self._high[severity, profile] = low, high
        self._outside[severity, profile] = outside

    def hold(self, severities: int | Levels, profiles: Int32s, values: Floats) -> Booleans:
        """Whether each value passes the test of its profile for a severity, or each for its own. NaN is outside."""
        inside = values >= self._low[severities, profiles]
        inside &= values <= self._high[severities, profiles]
        inside ^= self._outside[severities, profiles]
        return np.asarray(inside)


class Ladders:
    """By the number of a profile that has levels. That of the condition itself is entered by each rule's own bounds."""

    def __init__(self) -> None:
        self._size = 0
        self._enter, self._reset = _Tests(_NOWHERE), _Tests(_EVERYWHERE)
        self._own: Levels = np.empty(0, dtype=np.int8)
        self._known: Booleans = np.empty((SIZE, 0), dtype=np.bool_)

    def put(self, profile: int, template: RuleSpec) -> None:
        """Takes the levels of a profile."""
        if profile >= self._size:
            self._reserve(profile + 1)
        own = template.severity
        if own is None:
            raise ValueError("a rule with levels must say the severity of its condition")
        self._own[profile] = own
        self._known[own, profile] = True
        self._reset.put(own, profile, template.recover)
        for level in template.levels:
            self._known[level.severity, profile] = True
            self._enter.put(level.severity, profile, level.bounds)
            self._reset.put(level.severity, profile, level.reset)

    def clear(self, profile: int) -> None:
        """Forgets the levels of a profile, if it has any."""
        if profile < self._size:
            self._own[profile], self._known[:, profile] = 0, False
            self._enter.put(slice(None), profile, None)
            self._reset.put(slice(None), profile, None)

    def _reserve(self, size: int) -> None:
        size = max(size, self._size * 9 // 8)
        self._enter.reserve(size)
        self._reset.reserve(size)
        self._own = np.append(self._own, np.zeros(size - self._size, dtype=np.int8))
        self._known = np.hstack([self._known, np.zeros((SIZE, size - self._size), dtype=np.bool_)])
        self._size = size

    def own(self, profiles: Int32s) -> Levels:
        """The severity of each profile's condition itself."""
        return self._own[profiles]

    def entered(self, profiles: Int32s, values: Floats) -> Levels:
        """The highest level that each value enters, less that of the condition itself; 0 if none (L1)."""
        found = np.zeros(len(values), dtype=np.int8)
        known = ~np.isnan(values)
        for severity in Severity:
            found[self._enter.hold(severity, profiles, values) & known] = severity
        return found

    def may_leave(self, levels: Levels, profiles: Int32s, values: Floats) -> Booleans:
        """Whether each level may be left downwards (L2). What has no reset always may."""
        return self._reset.hold(levels, profiles, values)

    def may_leave_all(self, profiles: Int32s, values: Floats) -> Booleans:
        """Whether any level may be left downwards."""
        found = np.ones(len(values), dtype=np.bool_)
        for severity in Severity:
            found &= self._reset.hold(severity, profiles, values)
        return found

    def remaining(self, levels: Levels, profiles: Int32s) -> Levels:
        """The levels at which profiles go on that were at these under others: what one hasn't, its condition stands
        for."""
        return np.where(self._known[levels, profiles], levels, self._own[profiles])
