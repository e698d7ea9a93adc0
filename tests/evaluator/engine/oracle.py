"""The oracle: one rule, plain loops over raw points, nothing remembered that could be looked up. Slow on purpose.

It says the same as the array engine in as different a way as possible, so that a mistake is seldom made in both.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.series import Series
from monitors.evaluator.model.spec import ConditionKind, MissingPolicy, RuleSpec
from tests.evaluator.engine.frames import EVERYTHING, Item, View
from tests.evaluator.engine.ladder import every_level, next_level, own_level
from tests.evaluator.engine.readings import numbers, read

SECOND = 10**9
HOUR = 3600 * SECOND

Told = tuple[str, str, tuple[tuple[str, str], ...], int, int, float | None, str, int]
"""Kind, monitor, tags, time, episode, value, reason, level."""


Identity = tuple[str, tuple[tuple[str, str], ...]]
"""Monitor and tags."""


@dataclass
class Instance:
    """One instance of the rule and what is remembered of it; None where there is nothing."""

    monitor: str
    tags: tuple[tuple[str, str], ...]
    series: list[int]
    next_slot: int = 0
    due: int | None = None
    state: str = "inactive"
    active_at: int | None = None
    false_since: int | None = None
    frozen_since: int | None = None
    missing_since: int | None = None
    level: int = 0
    last: int = -(2**62)
    instants: set[int] = field(default_factory=set)
    key: tuple[tuple[str, str], ...] = ()
    """With a formula: its key there, of which `tags` may be a part."""
    touched: bool = False
    """Whether the next step is an instant by itself, and when that is."""
    asked: int | None = None

    def forget(self) -> None:
        """Nothing goes on any more."""
        self.state = "inactive"
        self.level = 0
        self.active_at = self.false_since = self.frozen_since = self.missing_since = None


class Oracle:
    """Evaluates one rule over the series that have become known, from the raw points and the list of our outages."""

    def __init__(self, spec: RuleSpec, series: list[Series], start: int) -> None:
        self.spec = spec
        self.series: list[Series] = []
        self.points: dict[int, dict[int, float]] = {}
        self.held: list[tuple[int, int, float]] = []
        self.told: list[Told] = []
        self.now = start
        self.outages: list[tuple[int, int]] = []
        self.resumed_at: int | None = None
        self.instances: dict[Identity, Instance] = {}
        self.told_meanwhile: list[Told] = []
        for one in series:
            self.add_series(one)

    # --- what happens besides points ---

    def add_series(self, one: Series) -> None:
        """A series has become known."""
        self.series.append(one)
        self.points[one.index] = {}
        if self.spec.formula is not None:
            before = self.instances
            self.instances = self.bound(before)
            for identity in self.instances.keys() - before.keys():
                self.begin(self.instances[identity])
            for identity in before.keys() - self.instances.keys():
                self.told_meanwhile += self.ended(before[identity], self.now)
        else:
            self.bind(one)

    def bound(self, before: Mapping[Identity, Instance]) -> dict[Identity, Instance]:
        """The instances that the rule's formula has; those that were there before go on."""
        found: dict[Identity, Instance] = {}
        assert self.spec.formula is not None
        for monitor in {one.key.monitor for one in self.series if self.spec.matches_monitor(one.key.monitor)}:
            frame = self.view(monitor).frame(self.spec.formula, self.now)
            for key in sorted(frame.keys() - {EVERYTHING}):
                tags = tuple(pair for pair in key if not self.spec.group_by or pair[0] in self.spec.group_by)
                if (monitor, tags) not in found:
                    one = found[monitor, tags] = before.get((monitor, tags), Instance(monitor, tags, []))
                    one.series, one.key = sorted(frame[key].series), key
        return found

    def view(self, monitor: str) -> View:
        """How a formula looks at a monitor."""
        return View(
            [one for one in self.series if one.key.monitor == monitor],
            self.spec.numbers,
            lambda reading, index, now: read(self.points[index], reading, now),
            lambda reading, index, now: numbers(self.points[index], reading, now),
            self.newest_of,
            self.away_since,
        )

    def item(self, one: Instance, now: int) -> Item:
        """What the formula says of an instance."""
        assert self.spec.formula is not None
        return self.view(one.monitor).frame(self.spec.formula, now)[one.key]

    def bind(self, one: Series) -> None:
        """Makes a series an input, if the rule watches it."""
        if not self.spec.matches(one):
            return
        identity = (one.key.monitor, self.spec.instance_tags(one.key))
        if identity not in self.instances:
            self.instances[identity] = Instance(*identity, [])
            self.begin(self.instances[identity])
        self.instances[identity].series.append(one.index)

    def begin(self, one: Instance) -> None:
        """From here on the instance is evaluated: its slots are those after now, and what it has is not evaluated."""
        self.look_ahead(one)
        newest = self.newest(one, self.now)
        one.last = one.last if newest is None else max(one.last, newest)

    def remember(self, points: list[tuple[int, int, float]]) -> None:
        """Points that came before the rule was made."""
        for index, time, value in points:
            if time <= self.now:
                self.points[index][time] = value
            else:
                self.held.append((index, time, value))
        for one in self.instances.values():
            self.begin(one)

    def touch(self, monitor: str = "") -> None:
        """The next step evaluates at its own time, whatever else there is; the instances of one monitor, or all."""
        for one in self.instances.values():
            one.touched |= monitor in ("", one.monitor)

    def edit(self, spec: RuleSpec, now: int) -> list[Told]:
        """Gives the rule another definition: what it still produces goes on, the rest resolves (E1, E2)."""
        self.told = []
        for one in self.instances.values():
            self.begin(one)
        old, self.instances, self.spec = self.instances, {}, spec
        if spec.formula is not None:
            self.instances = self.bound({})
        else:
            for series in self.series:
                self.bind(series)
        for identity, one in self.instances.items():
            if identity in old:
                kept = old.pop(identity)
                kept.series, kept.key = one.series, one.key
                self.instances[identity] = kept
        for gone in old.values():
            self.told += self.ended(gone, now)
        for one in self.instances.values():
            self.begin(one)
            if one.state == "firing" and one.level not in every_level(self.spec):
                one.level = own_level(self.spec)
        self.touch()
        return self.told

    @staticmethod
    def ended(gone: Instance, now: int) -> list[Told]:
        """The end of an instance that the rule has no more."""
        if gone.state != "firing":
            return []
        return [("resolved", gone.monitor, gone.tags, now, gone.active_at or 0, None, "updated", 0)]

    def be_away(self, now: int) -> None:
        """Nobody evaluated until now: no clock ran, and after more than an hour what was pending starts over (R2)."""
        length = now - self.now
        if length <= 0:
            return
        for one in self.instances.values():
            if one.state == "pending" and length > HOUR:
                one.forget()
            if one.frozen_since is None and one.state == "pending":
                one.active_at = (one.active_at or 0) + length
            if one.frozen_since is None and one.false_since is not None:
                one.false_since += length
        self.outages.append((self.now, now))
        self.resumed_at = self.now = now
        for one in self.instances.values():
            self.look_ahead(one)

    def restart(self, opened: Mapping[Identity, int], *, edited: bool) -> None:
        """Another process goes on. `opened` are the alerts that are open, and when they fired.

        What fires without one starts over if the rule isn't the same any more; otherwise somebody has closed it.
        """
        for identity, one in self.instances.items():
            if identity not in opened and one.state == "firing" and edited:
                one.forget()
            self.begin(one)

    def go_on(self, opened: Mapping[Identity, int], monitor: str = "") -> None:
        """The other process is there, for one monitor or all: what fires isn't undone by what is older than that.

        A time at which an alert fired by a clock that was set back since is no time to wait for (C2).
        """
        for identity, one in self.instances.items():
            if identity in opened and monitor in ("", one.monitor):
                one.last = max(one.last, min(opened[identity], self.now))
        self.touch(monitor)

    def set_back(self, now: int) -> None:
        """The clock was set back to `now`: nothing that is remembered lies in the future (C2)."""
        for known in self.points.values():
            for time in [time for time in known if time > now]:
                del known[time]
        for one in self.instances.values():
            one.last = min(one.last, now)
            for clock in ("active_at", "false_since", "frozen_since", "missing_since"):
                time = getattr(one, clock)
                if time is not None and (clock != "active_at" or one.state == "pending"):
                    setattr(one, clock, min(time, now))
        self.outages = [(min(start, now), min(end, now)) for start, end in self.outages]
        self.resumed_at = None if self.resumed_at is None else min(self.resumed_at, now)
        self.now = now
        for one in self.instances.values():
            self.look_ahead(one)

    def look_ahead(self, one: Instance) -> None:
        """Sets the next slot and deadline after now."""
        one.next_slot = (self.now // self.spec.interval + 1) * self.spec.interval
        one.due = self.deadline(one, self.now)

    # --- points and time ---

    def feed(self, points: list[tuple[int, int, float]], now: int) -> list[Told]:
        """Takes (series, time, value) points, evaluates until `now`, and returns what was told, by time."""
        self.now = now = max(now, self.now)
        arrived = self.held + points
        self.held = [point for point in arrived if point[1] > now]
        known = {index: set(values) for index, values in self.points.items()}
        for index, time, value in arrived:
            if time <= now:
                self.points[index][time] = value
        self.told, self.told_meanwhile = self.told_meanwhile, []
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
            if one.touched and self.spec.every_point and now not in one.instants:
                one.asked = now
            one.touched = False
            while (instant := self.next_instant(one)) <= now:
                self.evaluate(one, instant)
        return sorted(self.told, key=lambda told: told[3])

    def next_instant(self, one: Instance) -> int:
        """The next instant at which the instance is evaluated."""
        others = [instant for instant in (one.asked, one.due) if instant is not None]
        return min([one.next_slot, *one.instants, *others])

    def deadline(self, one: Instance, evaluated: int) -> int | None:
        """The next deadline, as it is seen at an evaluation; what had passed before is due as soon as can be."""
        found: list[int] = []
        if one.frozen_since is None:
            if one.state == "pending" and one.active_at is not None:
                found.append(one.active_at + self.spec.for_duration)
            if one.state == "firing" and one.false_since is not None:
                found.append(one.false_since + self.spec.keep_firing_for)
        if one.missing_since is not None:
            found.append(one.missing_since + 2 * self.spec.interval)
        if self.spec.formula is not None:
            found += [time for time in self.item(one, evaluated).silent_at if time > evaluated]
        newest = self.newest(one, evaluated)
        if self.spec.kind is ConditionKind.ABSENCE and one.state == "inactive" and newest is not None:
            found.append(newest + self.spec.absent_for + self.away_since(newest) + 1)
        return max(min(found), evaluated + 1) if found and self.spec.every_point else None

    def away_since(self, time: int) -> int:
        """How long nobody evaluated, after a time."""
        return sum(max(0, end - max(start, time)) for start, end in self.outages)

    def newest(self, one: Instance, until: int) -> int | None:
        """The time of the newest point at or before `until`."""
        return self.newest_of(one.series, until)

    def newest_of(self, series: Iterable[int], until: int) -> int | None:
        """The same of some series together."""
        times = [time for index in series for time in self.points[index] if time <= until]
        return max(times, default=None)

    def value(self, one: Instance, now: int) -> float | None:
        """What the rule compares; None is unknown."""
        if self.spec.formula is not None:
            return self.item(one, now).value
        (index,) = one.series
        return read(self.points[index], self.spec.reading, now)

    def truth(self, one: Instance, now: int) -> bool | None:
        """What the condition says; None is unknown."""
        spec = self.spec
        if spec.kind is ConditionKind.ABSENCE:
            newest = self.newest(one, now)
            return newest is not None and now - newest - self.away_since(newest) > spec.absent_for
        if spec.kind is ConditionKind.FORMULA:
            return self.item(one, now).truth
        value = self.value(one, now)
        if value is None:
            return None
        if spec.occurrence is None or spec.formula is not None:
            return self.holds(value) or any(level.bounds.hold(value) for level in spec.levels)
        (index,) = one.series
        known = numbers(self.points[index], spec.reading, now)
        counted = known[-spec.occurrence.of_last :] if spec.occurrence.of_last else known
        return sum(map(self.holds, counted)) >= (spec.occurrence.at_least or len(counted))

    def holds(self, value: float) -> bool:
        """Whether a number passes the rule's test."""
        spec = self.spec
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

    def has_recovered(self, one: Instance, now: int) -> bool:
        """Whether the clause that ends what fires holds."""
        value, clause = self.value(one, now), self.spec.recover
        assert value is not None
        assert clause is not None
        inside = clause.low <= value <= clause.high
        return not inside if clause.outside else inside

    def evaluate(self, one: Instance, now: int) -> None:
        """One evaluation of one instance."""
        from_point = now in one.instants
        one.instants.discard(now)
        if one.asked == now:
            one.asked = None
        if now == one.due:
            one.due = None
        if now == one.next_slot:
            one.next_slot += self.spec.interval
        if now < one.last:
            return
        before = (one.state, one.active_at, one.false_since, one.frozen_since, one.missing_since, one.level)
        self.decide(one, now)
        after = (one.state, one.active_at, one.false_since, one.frozen_since, one.missing_since, one.level)
        if from_point or before != after:
            one.last = now
        one.due = self.deadline(one, now)

    def decide(self, one: Instance, now: int) -> None:
        """Truth, policy, and the state machine."""
        truth: bool | None = self.truth(one, now)
        reason = "condition" if truth is not None else "missing_series"
        level = one.level or own_level(self.spec)
        if self.spec.levels:
            value = self.value(one, now)
            if value is not None:
                level = next_level(self.spec, one.level, value, own_holds=self.holds(value))
                truth = level > 0
        elif truth is False and one.state == "firing" and self.spec.recover is not None:
            truth = not self.has_recovered(one, now)
        waiting = False
        if truth is None:
            others = [other for other in self.instances.values() if other is not one and other.monitor == one.monitor]
            reporting = any(self.truth(other, now) is not None for other in others)
            policy = self.spec.missing_series if reporting else self.spec.no_data
            if self.resumed_at is not None and now - self.resumed_at < self.spec.span:
                # We were away ourselves: nothing is known to be missing before its look-back has passed once.
                policy = MissingPolicy.KEEP
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
            self.hold(one, now, reason, level)
        elif one.state == "pending":
            self.end(one, now, reason)
        elif one.state == "firing":
            one.false_since = now if one.false_since is None else one.false_since
            if now - one.false_since >= self.spec.keep_firing_for:
                self.end(one, now, reason)

    def hold(self, one: Instance, now: int, reason: str, level: int) -> None:
        """The condition is true, at a level if the rule has any."""
        one.false_since = None
        if one.state == "inactive":
            one.state, one.active_at = "pending", now
        if one.state == "pending" and one.active_at is not None and now - one.active_at >= self.spec.for_duration:
            one.state, one.level = "firing", level
            self.tell("firing", one, now, reason)
        elif one.state == "firing" and one.level != level:
            one.level = level
            self.tell("severity_changed", one, now, reason)

    def end(self, one: Instance, now: int, reason: str) -> None:
        """The episode is over."""
        if one.state == "firing":
            self.tell("resolved", one, now, reason)
        one.forget()

    def tell(self, kind: str, one: Instance, now: int, reason: str) -> None:
        """Notes a transition."""
        silent = self.spec.kind is ConditionKind.ABSENCE or self.spec.of_text
        value = None if silent else self.value(one, now)
        level = 0 if kind == "resolved" else one.level
        self.told.append((kind, one.monitor, one.tags, now, one.active_at or 0, value, reason, level))
