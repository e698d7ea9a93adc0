"""The oracle: one rule, plain loops over raw points, nothing remembered that could be looked up. Slow on purpose.

It says the same as the array engine in as different a way as possible, so that a mistake is seldom made in both.
"""

import math
from dataclasses import dataclass, field

from monitors.evaluator.model.series import Series
from monitors.evaluator.model.spec import Aggregation, ConditionKind, MissingPolicy, Operator, RuleSpec

HOUR = 3600 * 10**9

Told = tuple[str, str, tuple[tuple[str, str], ...], int, int, float | None, str]
"""Kind, monitor, tags, time, episode, value, reason."""


@dataclass
class Instance:
    """One instance of the rule and what is remembered of it; None where there is nothing."""

    monitor: str
    tags: tuple[tuple[str, str], ...]
    series: list[int]
    next_slot: int
    evaluated: int
    state: str = "inactive"
    active_at: int | None = None
    false_since: int | None = None
    frozen_since: int | None = None
    missing_since: int | None = None
    last: int = -(2**62)
    instants: set[int] = field(default_factory=set)


class Oracle:
    """Evaluates one rule over series that are all known from the start."""

    def __init__(self, spec: RuleSpec, series: list[Series], start: int) -> None:
        self.spec = spec
        self.points: dict[int, dict[int, float]] = {one.index: {} for one in series}
        self.held: list[tuple[int, int, float]] = []
        self.told: list[Told] = []
        self.now = start
        self.instances: dict[tuple[str, tuple[tuple[str, str], ...]], Instance] = {}
        for one in series:
            if not spec.matches(one.key):
                continue
            tags = spec.instance_tags(one.key)
            slot = (start // spec.interval + 1) * spec.interval
            empty = Instance(one.key.monitor, tags, [], slot, start)
            self.instances.setdefault((one.key.monitor, tags), empty).series.append(one.index)

    def feed(self, points: list[tuple[int, int, float]], now: int) -> list[Told]:
        """Takes (series, time, value) points, evaluates until `now`, and returns what was told, by time."""
        self.now = now = max(now, self.now)
        arrived = self.held + points
        self.held = [point for point in arrived if point[1] > now]
        known = {index: set(values) for index, values in self.points.items()}
        for index, time, value in arrived:
            if time <= now:
                self.points[index][time] = value
        self.told = []
        for one in self.instances.values():
            one.instants = {
                time
                for index, time, _ in arrived
                if self.spec.every_point
                and index in one.series
                and time not in known[index]
                and now - HOUR <= time <= now
                and time >= one.last
            }
            while (instant := self.next_instant(one)) <= now:
                self.evaluate(one, instant)
        return sorted(self.told, key=lambda told: told[3])

    def next_instant(self, one: Instance) -> int:
        """The next instant at which the instance is evaluated."""
        return min([one.next_slot, *one.instants, *self.deadlines(one)])

    def deadlines(self, one: Instance) -> list[int]:
        """Deadlines that lie after the last evaluation."""
        if not self.spec.every_point:
            return []
        found: list[int] = []
        if one.frozen_since is None:
            if one.state == "pending" and one.active_at is not None:
                found.append(one.active_at + self.spec.for_duration)
            if one.state == "firing" and one.false_since is not None:
                found.append(one.false_since + self.spec.keep_firing_for)
        if one.missing_since is not None:
            found.append(one.missing_since + 2 * self.spec.interval)
        newest = self.newest(one, one.evaluated)
        if self.spec.kind is ConditionKind.ABSENCE and one.state == "inactive" and newest is not None:
            found.append(newest + self.spec.absent_for + 1)
        return [instant for instant in found if instant > one.evaluated]

    def newest(self, one: Instance, until: int) -> int | None:
        """The time of the newest point at or before `until`."""
        times = [time for index in one.series for time in self.points[index] if time <= until]
        return max(times, default=None)

    def value(self, one: Instance, now: int) -> float | None:
        """The aggregate of the closed window that ends now; None is unknown."""
        (index,) = one.series
        window = sorted((t, v) for t, v in self.points[index].items() if now - self.spec.window <= t <= now)
        numbers = [v for _, v in window if not math.isnan(v)]
        result: float | None = None
        match self.spec.aggregation:
            case Aggregation.LATEST:
                result = window[-1][1] if window else None
            case Aggregation.COUNT:
                result = float(len(window)) if window else None
            case Aggregation.AVERAGE:
                result = sum(numbers) / len(numbers) if numbers else None
            case Aggregation.SUM:
                result = sum(numbers) if numbers else None
            case Aggregation.MINIMUM:
                result = min(numbers, default=None)
            case Aggregation.MAXIMUM:
                result = max(numbers, default=None)
        return None if result is None or math.isnan(result) else result

    def truth(self, one: Instance, now: int) -> bool | None:
        """What the condition says; None is unknown."""
        spec = self.spec
        if spec.kind is ConditionKind.ABSENCE:
            newest = self.newest(one, now)
            return newest is not None and now - newest > spec.absent_for
        value = self.value(one, now)
        if value is None:
            return None
        if spec.kind is ConditionKind.RANGE:
            inside = spec.low <= value <= spec.high
            return not inside if spec.outside else inside
        match spec.operator:
            case Operator.GREATER:
                return value > spec.low
            case Operator.GREATER_OR_EQUAL:
                return value >= spec.low
            case Operator.LESS:
                return value < spec.low
            case Operator.LESS_OR_EQUAL:
                return value <= spec.low
            case Operator.EQUAL:
                return abs(value - spec.low) <= spec.tolerance
            case Operator.NOT_EQUAL:
                return not abs(value - spec.low) <= spec.tolerance

    def evaluate(self, one: Instance, now: int) -> None:
        """One evaluation of one instance."""
        from_point = now in one.instants
        one.instants.discard(now)
        if now == one.next_slot:
            one.next_slot += self.spec.interval
        one.evaluated = now
        if now < one.last:
            return
        before = (one.state, one.active_at, one.false_since, one.frozen_since, one.missing_since)
        self.decide(one, now)
        after = (one.state, one.active_at, one.false_since, one.frozen_since, one.missing_since)
        if from_point or before != after:
            one.last = now

    def decide(self, one: Instance, now: int) -> None:
        """Truth, policy, and the state machine."""
        truth: bool | None = self.truth(one, now)
        reason = "condition" if truth is not None else "missing_series"
        waiting = False
        if truth is None:
            others = [other for other in self.instances.values() if other is not one and other.monitor == one.monitor]
            reporting = any(self.truth(other, now) is not None for other in others)
            policy = self.spec.missing_series if reporting else self.spec.no_data
            truth = {MissingPolicy.OK: False, MissingPolicy.ALERT: True}.get(policy)
            waiting = reporting and policy is MissingPolicy.RESOLVE and one.state != "inactive"
        if not waiting:
            one.missing_since = None
        elif one.missing_since is None:
            one.missing_since = now
        if waiting and one.missing_since is not None and now - one.missing_since >= 2 * self.spec.interval:
            self.end(one, now, reason)
            return
        if truth is None:
            if one.state != "inactive" and one.frozen_since is None:
                one.frozen_since = now
            return
        if one.frozen_since is not None:
            stood_still = now - one.frozen_since
            one.frozen_since = None
            if one.state == "pending" and one.active_at is not None:
                one.active_at += stood_still
            if one.false_since is not None:
                one.false_since += stood_still
        if truth:
            self.hold(one, now, reason)
        elif one.state == "pending":
            self.end(one, now, reason)
        elif one.state == "firing":
            one.false_since = now if one.false_since is None else one.false_since
            if now - one.false_since >= self.spec.keep_firing_for:
                self.end(one, now, reason)

    def hold(self, one: Instance, now: int, reason: str) -> None:
        """The condition is true."""
        one.false_since = None
        if one.state == "inactive":
            one.state, one.active_at = "pending", now
        if one.state == "pending" and one.active_at is not None and now - one.active_at >= self.spec.for_duration:
            one.state = "firing"
            self.tell("firing", one, now, reason)

    def end(self, one: Instance, now: int, reason: str) -> None:
        """The episode is over."""
        if one.state == "firing":
            self.tell("resolved", one, now, reason)
        one.state = "inactive"
        one.active_at = one.false_since = one.frozen_since = one.missing_since = None

    def tell(self, kind: str, one: Instance, now: int, reason: str) -> None:
        """Notes a transition."""
        value = None if self.spec.kind is ConditionKind.ABSENCE else self.value(one, now)
        self.told.append((kind, one.monitor, one.tags, now, one.active_at or 0, value, reason))
