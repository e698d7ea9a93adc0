"""What follows when an instance begins or ceases to fire, is acknowledged, or its rule is changed.

A Ledger holds what the store knows about the instances at hand. Each operation notes what must be remembered, so that a
batch of thousands is decided without a query in between, and the store writes it all in one transaction.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from monitors.mesh.ids import id_series
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import MINUTE
from monitors.rules.model.alert import (
    Alert,
    Event,
    EventKind,
    Held,
    Instance,
    Notification,
    once_key,
    once_key_of_change,
)
from monitors.rules.model.rule import Severity

# From here on a message says how late it was decided.
NOTEWORTHY_DELAY = MINUTE


class Outcome(IntEnum):
    """What was done with a transition; the numbers are those of monitors.v1.TransitionOutcome."""

    RECORDED = 1
    REPEATED = 2
    ADOPTED = 3
    IGNORED = 4


class Transition(NamedTuple):
    """An instance began (FIRING) or ceased (RESOLVED) to fire, or goes on at another level (SEVERITY_CHANGED), as an
    evaluator decided. `severity` None: the rule's."""

    instance: Instance
    episode: int
    kind: EventKind
    time: int
    value: float | None = None
    reason: str = ""
    delay: int = 0
    severity: Severity | None = None
    traceparent: str = ""

    @property
    def once_key(self) -> str:
        """What makes it unique within its tenant."""
        if self.kind is EventKind.SEVERITY_CHANGED:
            return once_key_of_change(self.instance.key, self.episode, self.time)
        return once_key(self.instance.key, self.episode, self.kind)


# What nearly every transition asks for: to find a member by its name takes longer than to compare it.
_FIRING, _RESOLVED, _RECORDED = EventKind.FIRING, EventKind.RESOLVED, Outcome.RECORDED


class Result(NamedTuple):
    """What was done with a transition; `episode` only with ADOPTED."""

    outcome: Outcome
    alert_id: str = ""
    episode: int = 0


class RuleFacts(NamedTuple):
    """What an alert takes from its rule."""

    title: str
    severity: Severity
    condition_text: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    channels: tuple[str, ...]
    cooldown: int
    snooze_until: int | None
    levels: frozenset[Severity] = frozenset()
    """Further severities at which its alerts may be."""
    repeat_interval: int = 0

    def severity_of(self, told: Severity | None) -> Severity:
        """The severity that an evaluator tells; the rule's own if it tells none, or one that the rule has no more."""
        return told if told is not None and told in self.levels else self.severity


@dataclass(slots=True)
class Known:
    """What the store remembers about the instances at hand. Keys of instances and transitions begin with the tenant."""

    rules: Mapping[tuple[str, str], RuleFacts | None] = field(default_factory=dict)
    """By tenant and rule; a rule that is gone or turned off is None, or left out."""
    open: dict[tuple[str, str], Alert] = field(default_factory=dict)
    """Open alerts by tenant and instance key."""
    told: dict[tuple[str, str], int] = field(default_factory=dict)
    """When an alert of the instance was last told, by tenant and instance key."""
    recorded: dict[tuple[str, str], str] = field(default_factory=dict)
    """The alert of each transition that has been recorded, by tenant and once key; see `is_surprising`."""
    latest: dict[tuple[str, str], int] = field(default_factory=dict)
    """The latest episode of an instance that is over and was told, by tenant and instance key."""
    released: set[str] = field(default_factory=set)
    """Open alerts whose held message has gone out."""


def is_surprising(known: Known, transition: Transition) -> bool:
    """Whether it must be looked up whether a transition has been recorded before. What begins while nothing is open and
    later than all that was told, and what ends what is open, hardly ever has; that it has after all, the
    database itself finds when the event is written, for a transition can be recorded once only. (Of what an earlier
    version recorded, the database knows another key.)"""
    key = (transition.instance.tenant, transition.instance.key)
    if transition.kind is _FIRING:
        return key in known.open or transition.episode <= known.latest.get(key, -1)
    alert = known.open.get(key)
    if alert is not None and transition.kind is EventKind.SEVERITY_CHANGED and alert.severity_time is not None:
        return transition.time <= alert.severity_time
    return alert is None or transition.time < alert.fire_time


class Ledger:
    """Decides, one after the other, and notes what must be remembered. `now` is the server's clock; `traceparent` is
    that of what a person does, while each transition has its own."""

    def __init__(self, known: Known, now: int, traceparent: str = "") -> None:
        self._known = known
        self._now = now
        self._traceparent = traceparent
        self._alert_ids, self._note_ids = id_series("alert"), id_series("note")
        self.opened: dict[str, Alert] = {}
        """New alerts by id, as they are after everything."""
        self.altered: dict[str, Alert] = {}
        """Alerts that the store has and that are different now, by id."""
        self.retimed: set[str] = set()
        """Those of `altered` whose `told_time` may be different."""
        self.events: list[Event] = []
        self.untold: list[Event] = []
        """What only the notifier learns, by a notification, and no timeline has."""
        self.notifications: list[Notification] = []
        self.suppressed: list[Held] = []
        """Alerts whose held message must not be sent any more."""
        self.rescheduled: list[tuple[Held, int]] = []
        """Alerts whose message is held, and its new due time."""

    def apply(self, transition: Transition) -> Result:
        """Records what an evaluator decided. A repeat changes nothing."""
        instance, kind, once = transition.instance, transition.kind, transition.once_key
        self._traceparent = transition.traceparent
        key = (instance.tenant, instance.key)
        recorded = self._known.recorded.get((instance.tenant, once))
        if recorded is not None:
            return Result(Outcome.REPEATED, recorded)
        alert = self._known.open.get(key)
        if kind is _RESOLVED:
            if alert is None or transition.time < alert.fire_time:
                return Result(Outcome.IGNORED)
            self._resolve(alert, transition.time, transition.reason, transition.value, once=once)
            return Result(_RECORDED, alert.id)
        facts = self._known.rules.get((instance.tenant, instance.rule_id))
        if facts is None:
            return Result(Outcome.IGNORED)
        if kind is EventKind.SEVERITY_CHANGED:
            return self._follow_level(alert, transition, facts, once)
        if alert is not None:
            if facts.levels:
                self._follow_level(alert, transition, facts, None)
            return Result(Outcome.ADOPTED, alert.id, alert.episode)
        return Result(_RECORDED, self._open(transition, facts, key, once).id)

    def _open(self, transition: Transition, facts: RuleFacts, key: tuple[str, str], once: str) -> Alert:
        due, reason = _when_to_tell(facts, transition.time, self._known.told.get(key))
        tenant, rule_id, monitor_id, group, instance_key = transition.instance
        # Of its fields in order: to call it with so many takes three times as long, to name them even longer.
        alert = Alert._make((
            tenant, next(self._alert_ids), rule_id, monitor_id, group, instance_key, transition.episode, facts.title,
            facts.severity_of(transition.severity), facts.condition_text, _number(transition.value), transition.time,
            self._now, facts.labels, facts.annotations, facts.channels, reason, due, None, "", "", None, "",
            transition.traceparent, None,
        ))  # fmt: skip
        self._known.open[key] = self.opened[alert.id] = alert
        late = transition.delay >= NOTEWORTHY_DELAY
        detail = f"delayed by {format_duration(transition.delay - transition.delay % MINUTE)}" if late else ""
        self._note(
            alert, EventKind.FIRING, transition.time, value=alert.value, detail=detail, once=once, due=due,
            repeat=facts.repeat_interval,
        )  # fmt: skip
        return alert

    def _follow_level(self, alert: Alert | None, transition: Transition, facts: RuleFacts, once: str | None) -> Result:
        """Gives an open alert the severity that an evaluator tells. What is older than the present one says nothing."""
        if alert is None or transition.time < max(alert.fire_time, alert.severity_time or 0):
            return Result(Outcome.IGNORED)
        severity = facts.severity_of(transition.severity)
        if severity is alert.severity:
            return Result(Outcome.REPEATED, alert.id)
        self._turn(alert, severity, transition.time, facts, value=_number(transition.value), once=once)
        return Result(Outcome.RECORDED, alert.id)

    def regrade(self, alert: Alert, facts: RuleFacts, user: str) -> None:
        """Follows a change of the rule's levels: an alert at one that is gone goes on at the rule's own severity."""
        severity = facts.severity_of(alert.severity)
        if severity is not alert.severity:
            self._turn(alert, severity, self._now, facts, user=user)

    def _turn(
        self,
        alert: Alert,
        severity: Severity,
        time: int,
        facts: RuleFacts,
        *,
        value: float | None = None,
        user: str = "",
        once: str | None = None,
    ) -> None:
        """Changes the severity of an open alert. That it got worse is told even within the cooldown, what was held back
        by that first; that it got better is only recorded, and so is what a person changed."""
        turned, due = alert._replace(severity=severity), None
        if not user:
            turned = turned._replace(severity_time=time)
        if severity > alert.severity and not user:
            is_snoozed = facts.snooze_until is not None and facts.snooze_until > time
            held_until = self._held_until(alert)
            if held_until is None:
                due = None if is_snoozed else time
            elif is_snoozed:
                due = held_until
            else:
                due = min(time, self._now)
                turned = turned._replace(told_time=due)
                self.rescheduled.append((alert.held, due))
        self._replace(turned)
        detail = f"{alert.severity.name.lower()} → {severity.name.lower()}"
        kind, repeat = EventKind.SEVERITY_CHANGED, facts.repeat_interval
        self._note(
            turned, kind, time, value=value, user=user, detail=detail, once=once, due=due, former=alert.severity,
            repeat=repeat,
        )  # fmt: skip
        if due is None:
            # Nobody is told, but whoever is told again is told how bad it is then.
            self.follow_repeats(turned, facts)

    def _held_until(self, alert: Alert) -> int | None:
        """When the message that an alert fires is sent, None if it isn't held back (any more)."""
        is_held = alert.told_time is not None and alert.told_time > self._now and alert.id not in self._known.released
        return alert.told_time if is_held else None

    def resolve(self, alert: Alert, reason: str, user: str = "", note: str = "") -> Alert:
        """Closes an open alert because somebody, or a change of its rule, says so."""
        return self._resolve(alert, max(self._now, alert.fire_time), reason, None, user=user, note=note)

    def _resolve(
        self,
        alert: Alert,
        time: int,
        reason: str,
        value: float | None,
        *,
        user: str = "",
        note: str = "",
        once: str | None = None,
    ) -> Alert:
        was_told = alert.told_time is not None and (alert.told_time <= time or alert.id in self._known.released)
        closed = alert.closed(time, reason or "condition", alert.told_time if was_told else None)
        self._replace(closed)
        key = (alert.tenant, alert.instance_key)
        self._known.open.pop(key, None)
        if closed.told_time is not None:
            self._known.told[key] = max(closed.told_time, self._known.told.get(key, closed.told_time))
        elif alert.told_time is not None:
            self.suppressed.append(alert.held)
        detail = f"{closed.resolve_reason}: {note}" if note else closed.resolve_reason
        due = time if was_told else None
        self._note(closed, EventKind.RESOLVED, time, value=_number(value), user=user, detail=detail, once=once, due=due)
        return closed

    def acknowledge(self, alert: Alert, user: str, note: str) -> Alert:
        """Marks an alert as taken care of. One that was acknowledged before stays as it is."""
        if alert.acknowledge_time is not None:
            return alert
        marked = alert._replace(acknowledge_user=user, acknowledge_time=self._now, acknowledge_note=note)
        self._replace(marked)
        due = self._now if marked.is_open and marked.told_time is not None else None
        self._note(marked, EventKind.ACKNOWLEDGED, self._now, user=user, detail=note, due=due)
        return marked

    def snooze(self, alert: Alert, facts: RuleFacts, user: str) -> None:
        """Follows a change of the rule's snooze: a message that is still held waits for the new end."""
        key = (alert.tenant, alert.instance_key)
        is_held = self._held_until(alert) is not None
        if is_held:
            due, reason = _when_to_tell(facts, alert.fire_time, self._known.told.get(key))
            due = max(due, self._now)
            self._replace(alert._replace(told_time=due, suppress_reason=reason or alert.suppress_reason))
            self.rescheduled.append((alert.held, due))
        if facts.snooze_until is not None and facts.snooze_until > self._now:
            self._note(alert, EventKind.SNOOZED, self._now, user=user, due=None if is_held else self._now)

    def follow_repeats(self, alert: Alert, facts: RuleFacts) -> None:
        """Lets the notifier know how an open alert is told again from now on. One that was acknowledged isn't."""
        if alert.told_time is None or alert.acknowledge_time is not None:
            return
        event = Event(alert.tenant, alert.id, EventKind.REPEAT_CHANGED, self._now, self._now)
        self.untold.append(event)
        told = Notification(next(self._note_ids), event, alert, self._now, repeat_interval=facts.repeat_interval)
        self.notifications.append(told._replace(repeat_after=facts.snooze_until))

    def _replace(self, alert: Alert) -> None:
        if alert.id in self.opened:
            self.opened[alert.id] = alert
        else:
            self.altered[alert.id] = alert
        key = (alert.tenant, alert.instance_key)
        before = self._known.open.get(key)
        if before is None or before.told_time != alert.told_time:
            self.retimed.add(alert.id)
        if before is not None:
            self._known.open[key] = alert

    def _note(
        self,
        alert: Alert,
        kind: EventKind,
        time: int,
        *,
        due: int | None,
        value: float | None = None,
        user: str = "",
        detail: str = "",
        once: str | None = None,
        former: Severity | None = None,
        repeat: int = 0,
    ) -> None:
        event = Event(alert.tenant, alert.id, kind, time, self._now, value, user, detail, once)
        self.events.append(event)
        if once is not None:
            self._known.recorded[alert.tenant, once] = alert.id
        if due is not None:
            # What isn't held is due at once, even where the data's clock runs ahead of ours.
            may_wait = alert.suppress_reason and kind in (EventKind.FIRING, EventKind.SEVERITY_CHANGED)
            due = due if may_wait else min(due, self._now)
            told = Notification(next(self._note_ids), event, alert, due, former, repeat, None, self._traceparent)
            self.notifications.append(told)


def _when_to_tell(facts: RuleFacts, fire_time: int, last_told: int | None) -> tuple[int, str]:
    """When an alert that fires now may be told, and why not at once."""
    due, reason = fire_time, ""
    if last_told is not None and last_told + facts.cooldown > due:
        due, reason = last_told + facts.cooldown, "cooldown"
    if facts.snooze_until is not None and facts.snooze_until > due:
        due, reason = facts.snooze_until, "snoozed"
    return due, reason


def _number(value: float | None) -> float | None:
    """A value as it is remembered: not a number, the one value that isn't itself, means none."""
    return value if value == value else None
