"""Escalation: an alert that nobody has acknowledged for a while is told to others, step by step."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, MINUTE
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import NEVER, Arrival, Planned, State
from monitors.notifier.model.matching import Matcher, all_hold, check_matchers
from monitors.notifier.model.message import Kind
from monitors.notifier.model.muting import Mute
from monitors.notifier.model.policies import Placed, check_name, check_position

MOST_STEPS = 5
MOST_CHANNELS = 10
"""How many a step may tell."""
SOONEST = MINUTE
LATEST = 7 * DAY
MOST = 100
"""How many policies a tenant may have."""
IS_OVER = "somebody has acknowledged the alert, or it's over"


@dataclass(frozen=True)
class Step:
    """Who is told of an alert that nobody has acknowledged for `after`, in nanoseconds. Channels are names."""

    after: int
    channels: tuple[str, ...]


@dataclass(frozen=True)
class EscalationPolicy(Placed):
    """Who is told next of alerts for which its matchers hold. The first one that is for an alert counts."""

    noun: ClassVar[str] = "escalation policy"
    nouns: ClassVar[str] = "escalation policies"

    matchers: tuple[Matcher, ...]
    steps: tuple[Step, ...]

    @property
    def channels(self) -> list[str]:
        """All that it may tell."""
        return told_by(self.steps)


@dataclass(frozen=True)
class Course:
    """How far the escalation of an alert has come. Times are nanoseconds since 1970, 0 where there is none."""

    policy_id: str
    severity: int
    """How bad the alert is by now."""
    began_at: int
    """When the alert was told first, or would have been but for what kept it from that."""
    due_at: int
    done: int = 0
    """How many steps were taken."""
    made: int = 0
    """How many notifications were made of them, those that wait included."""
    quiet_until: int = 0
    """Until when its rule is snoozed."""
    muted_until: int = 0
    """Until when something keeps a step waiting that is due."""
    is_acknowledged: bool = False

    def late(self, steps: Sequence[Step], now: int) -> Sequence[Step]:
        """The steps that are due and weren't taken. After an outage, or what kept the alert from being told, there may
        be several: they're taken as one, so that everybody is told, and once."""
        return [step for step in steps[self.done :] if self.began_at + step.after <= now]

    def snooze(self, now: int) -> Mute | None:
        """What its rule's snooze does to it now."""
        return Mute("its rule is snoozed", self.quiet_until) if now < self.quiet_until else None

    def taken(self, steps: Sequence[Step], now: int) -> "Course":
        """The course once the steps that are late were taken."""
        late = self.late(steps, now)
        return replace(
            self,
            done=self.done + len(late),
            made=self.made + bool(late),
            muted_until=0,
            due_at=_due_at(steps, self.began_at, self.done + len(late)),
        )

    def waiting(self, mute: Mute) -> "Course":
        """The course while its step that is due waits. Only the first time something is made of that, to be seen."""
        made = self.made + (not self.muted_until)
        return replace(self, made=made, muted_until=mute.until, due_at=mute.until)

    def ended(self) -> "Course":
        """The course once no step follows. That something was made of it is remembered until the alert is over."""
        return replace(self, muted_until=0, due_at=NEVER)


def _due_at(steps: Sequence[Step], began_at: int, done: int) -> int:
    return began_at + steps[done].after if done < len(steps) else NEVER


def heed(course: Course | None, arrival: Arrival, policies: Sequence[EscalationPolicy], now: int) -> Course | None:
    """What becomes of the course of an alert by a notification that comes `now`; None if there is none.

    What gets worse may have another policy by that, whose steps count from now on; if it has none by its new severity,
    it keeps the one that it had. What somebody has acknowledged stays with them.
    """
    is_worse = arrival.kind is Kind.SEVERITY_CHANGED and arrival.severity > arrival.former_severity
    if course is None:
        begins = arrival.kind is Kind.FIRING or is_worse
        policy = policy_for(policies, arrival.facts) if begins and not arrival.is_acknowledged else None
        return Course(policy.id, arrival.severity, now, _due_at(policy.steps, now, 0)) if policy else None
    match arrival.kind:
        case Kind.RESOLVED:
            return None
        case Kind.ACKNOWLEDGED:
            return replace(course.ended(), is_acknowledged=True)
        case Kind.REPEAT_CHANGED:
            changed = replace(course, severity=arrival.severity, quiet_until=arrival.repeat_after)
            # What waits for the end of a snooze has its turn if that is over by now.
            return replace(changed, due_at=now) if course.muted_until else changed
        case Kind.SEVERITY_CHANGED:
            course = replace(course, severity=arrival.severity)
            policy = policy_for(policies, arrival.facts) if is_worse and not course.is_acknowledged else None
            if policy is None or policy.id == course.policy_id:
                return course
            due_at = _due_at(policy.steps, now, 0)
            return replace(course, policy_id=policy.id, began_at=now, done=0, muted_until=0, due_at=due_at)
        case _:
            return course


def policy_for(policies: Iterable[EscalationPolicy], facts: Mapping[str, str]) -> EscalationPolicy | None:
    """The first of the policies, which stand in their order, that is for an alert; None if none is."""
    return next((policy for policy in policies if all_hold(policy.matchers, facts)), None)


def told_by(steps: Iterable[Step]) -> list[str]:
    """The names of the channels that steps tell, each once."""
    return list(dict.fromkeys(name for step in steps for name in step.channels))


def plan_steps(late: Sequence[Step], channels: Mapping[str, Channel], step: str, mute: Mute | None) -> list[Planned]:
    """Whom steps tell that are due; `step` is the last of them in words. What is muted is suppressed, and waits."""
    planned = []
    for name in told_by(late):
        channel = channels.get(name)
        if mute is not None:
            reason = f"{step} waits: {mute.reason}"
            one = Planned(name, channel, State.SUPPRESSED, reason, mute.until, mute.key)
        elif channel is None:
            one = Planned(name, None, State.SUPPRESSED, f"there is no channel {name!r} any more")
        elif channel.unusable_reason:
            one = Planned(name, channel, State.SUPPRESSED, channel.suppression)
        else:
            one = Planned(name, channel, State.PENDING)
        planned.append(one)
    return planned


def plan_care(escalated: Collection[str], channels: Iterable[Channel], planned: Sequence[Planned]) -> list[Planned]:
    """Those of the channels that an alert was escalated to, by name, that are told that somebody takes care, whatever
    their kind; `planned` are told anyway."""
    names = set(escalated).difference(one.channel_name for one in planned)
    return [
        Planned(one.name, one, State.SUPPRESSED, one.suppression)
        if one.unusable_reason
        else Planned(one.name, one, State.PENDING)
        for one in channels
        if one.name in names
    ]


def check(before: EscalationPolicy | None, policy: EscalationPolicy, now: int) -> None:
    """Raises InvalidFields if there can't be such a policy."""
    errors = check_name(policy.name, "escalation_policy.name")
    errors += check_matchers(policy.matchers, "escalation_policy.matchers")
    errors += check_position(policy.position, "escalation_policy.position")
    if not 1 <= len(policy.steps) <= MOST_STEPS:
        errors.append(InvalidField("escalation_policy.steps", f"there are {len(policy.steps)}; send 1 to {MOST_STEPS}"))
    former = 0
    for number, step in enumerate(policy.steps[:MOST_STEPS]):
        errors += _check_step(step, former, f"escalation_policy.steps[{number}]")
        former = step.after
    if errors:
        raise InvalidFields.of(errors)


def _check_step(step: Step, former: int, place: str) -> Iterable[InvalidField]:
    if not SOONEST <= step.after <= LATEST:
        yield InvalidField(
            f"{place}.after", f"{format_duration(step.after)} is out of bounds; send 1m to 7d, such as 15m"
        )
    elif step.after <= former:
        yield InvalidField(
            f"{place}.after",
            f"{format_duration(step.after)} isn't later than the step before it; each counts from when the alert was "
            "told first",
        )
    if not 1 <= len(step.channels) <= MOST_CHANNELS:
        yield InvalidField(f"{place}.channels", f"there are {len(step.channels)}; send 1 to {MOST_CHANNELS} names")
