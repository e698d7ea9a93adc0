"""Deliveries: who is told of a notification, and what follows from each attempt."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import cached_property

from monitors.mesh.times import HOUR, MINUTE, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.matching import facts_of
from monitors.notifier.model.message import Kind
from monitors.notifier.model.routes import Route, channels_of, routes_of

MAX_RETRY_AFTER = 6 * HOUR
JITTER = 0.2
NEVER = 2**63 - 1
NO_CHANNEL = "(none)"
"""The channel's name in the row that says that nobody was told. No channel can have it."""

TOLD_OF_CARE = frozenset({"console", "pager_duty"})
"""The kinds of channels that are told that somebody takes care: a log, and what would else go on calling others. People
elsewhere know who took care."""

# The wait before the first, second, third … attempt.
CHAT_SCHEDULE = (
    0, 2 * SECOND, 10 * SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 15 * MINUTE, 30 * MINUTE, *[HOUR] * 23,
)  # fmt: skip
# As Standard Webhooks 1.0 recommends: 75.6 hours in all.
WEBHOOK_SCHEDULE = (
    0, 5 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR,
)  # fmt: skip


class State(IntEnum):
    """What became of a delivery; the numbers are those of `DeliveryState`."""

    PENDING = 1
    IN_FLIGHT = 2
    DELIVERED = 3
    ACCEPTED = 4
    DEAD = 5
    SUPPRESSED = 6
    SUPERSEDED = 7


SAYS_IT_FIRES = (Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.ESCALATED)
FOLLOWS = (Kind.RESOLVED, Kind.ACKNOWLEDGED)
"""What is no news to whoever was never told that the alert fired."""
UNFINISHED = (State.PENDING, State.IN_FLIGHT)


class OutcomeKind(IntEnum):
    """How an attempt ended; the numbers are those of `DeliveryOutcome`."""

    OK = 1
    ACCEPTED = 2
    RETRYABLE = 3
    THROTTLED = 4
    AMBIGUOUS = 5
    FINAL = 6
    CONFIGURATION_BROKEN = 7
    TOO_LARGE = 8


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `detail` is for the tenant, free of secrets; `retry_after` is nanoseconds from now."""

    kind: OutcomeKind
    detail: str
    status: int = 0
    retry_after: int = 0


PASSING = (OutcomeKind.RETRYABLE, OutcomeKind.THROTTLED, OutcomeKind.AMBIGUOUS)
"""After these the same is told again."""


def explained(outcome: Outcome, *, is_minimal: bool) -> Outcome:
    """The outcome, with words on the minimal form if that was sent, or follows."""
    if outcome.kind is OutcomeKind.TOO_LARGE:
        told = "its minimal form was too large, too" if is_minimal else "too large, so its minimal form is sent"
    elif is_minimal and outcome.kind in (OutcomeKind.OK, OutcomeKind.ACCEPTED):
        told = "told in its minimal form, since the whole was too large"
    else:
        return outcome
    return replace(outcome, detail=f"{outcome.detail}; {told}")


def detail_of(outcome: Outcome, told: int, *, is_digest: bool) -> str:
    """How a delivery's attempt ended, of which the message told so many deliveries."""
    how = "in a digest" if is_digest else "together"
    return f"{outcome.detail}; told {how} with {told - 1:,} more" if told > 1 else outcome.detail


def remembered(outcome: OutcomeKind, *, is_minimal: bool) -> OutcomeKind:
    """By what the next attempt goes: after a passing fault of the minimal form the whole is still too large."""
    return OutcomeKind.TOO_LARGE if is_minimal and outcome in PASSING else outcome


@dataclass(frozen=True)
class Decision:
    """What follows from an attempt: the new state, when it's due again, and what it means for the whole channel."""

    state: State
    next_time: int = 0
    quiet_until: int = 0
    """Until when nothing else is sent to the channel either."""
    disable_reason: str = ""
    """Why the channel is turned off; empty if it isn't."""


DELIVERED = Decision(State.DELIVERED)


def schedule_of(kind: str) -> Sequence[int]:
    """The waits before each attempt for a kind of channel, in nanoseconds."""
    return WEBHOOK_SCHEDULE if kind == "webhook" else CHAT_SCHEDULE


def decide(
    outcome: Outcome,
    *,
    channel_kind: str,
    attempt: int,
    now: int,
    jitter: float,
    broken_before: bool,
    is_minimal: bool = False,
    fewest: int | None = None,
) -> Decision:
    """What follows from attempt number `attempt` (from 1). `jitter` is random in [-1, 1].

    What is told together ends together: `attempt` is then the number of what was tried most often, which says how long
    to wait, and `fewest` that of what was tried least often, which says whether to go on.
    What is too large is told at once in its minimal form, whatever the schedule says; if that is, too, it's given up.
    An endpoint that refuses the whole channel twice in a row turns the channel off: once may be a deployment.
    """
    if outcome.kind is OutcomeKind.OK:
        return DELIVERED
    if outcome.kind is OutcomeKind.ACCEPTED:
        return Decision(State.ACCEPTED)
    if outcome.kind is OutcomeKind.TOO_LARGE and not is_minimal:
        return Decision(State.PENDING, now)
    if outcome.kind in (OutcomeKind.FINAL, OutcomeKind.TOO_LARGE):
        return Decision(State.DEAD)
    if outcome.kind is OutcomeKind.CONFIGURATION_BROKEN and broken_before:
        return Decision(State.DEAD, disable_reason=outcome.detail)
    floor = now + min(outcome.retry_after, MAX_RETRY_AFTER)
    quiet_until = floor if outcome.kind is OutcomeKind.THROTTLED and outcome.retry_after else 0
    schedule = schedule_of(channel_kind)
    if (attempt if fewest is None else fewest) >= len(schedule):
        return Decision(State.DEAD, quiet_until=quiet_until)
    wait = int(schedule[min(attempt, len(schedule) - 1)] * (1 + JITTER * max(-1.0, min(1.0, jitter))))
    return Decision(State.PENDING, max(now + wait, floor), quiet_until)


@dataclass(frozen=True)
class Arrival:
    """A notification as it comes from RuleService. `payload` is the message itself, in the contract's form."""

    tenant: str
    notification_id: str
    alert_id: str
    kind: Kind
    severity: int
    channels: tuple[str, ...]
    stream_key: str
    sequence: int
    payload: bytes
    repeat_interval: int = 0
    """How long after it was told it's told again while it fires, in nanoseconds; 0 is never."""
    repeat_after: int = 0
    """Nothing is told again before, in nanoseconds since 1970."""
    former_severity: int = 0
    is_acknowledged: bool = False
    """Whether somebody had acknowledged the alert by then."""
    rule_id: str = ""
    monitor_id: str = ""
    title: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """The rule's labels and the tags of the alert's instance, which count for more."""

    @cached_property
    def facts(self) -> dict[str, str]:
        """What matchers see of the alert."""
        return facts_of(self.rule_id, self.monitor_id, self.title, self.severity, self.labels)


@dataclass(frozen=True)
class Planned:
    """A delivery to make: to `channel` (None if there is none of that name), waiting or suppressed with a reason."""

    channel_name: str
    channel: Channel | None
    state: State
    reason: str = ""
    muted_until: int = 0
    """If something keeps it from being told for a while: until when, in nanoseconds since 1970."""
    muted_by: str = ""
    """The key by which it's found if it may be told before; see `model.inhibitions`."""


def plan(
    arrival: Arrival, channels: Iterable[Channel], routes: Sequence[Route] = (), heard: Collection[str] = ()
) -> list[Planned]:
    """Who is told of a notification. What isn't sent although somebody asked for it is suppressed with the reason.

    `heard` are the names of the channels that should have been told that the alert fires, in so far as that is known.
    """
    by_name = {channel.name: channel for channel in channels}
    names = recipients(arrival, by_name, routes, heard)
    if arrival.kind in (*SAYS_IT_FIRES, Kind.RESOLVED):
        if not names and not (heard and arrival.kind is Kind.RESOLVED):
            reason = "the rule names no channel and none is the default; make one the default, or name one in the rule"
            return [Planned(NO_CHANNEL, None, State.SUPPRESSED, reason)]
        planned = (_plan_one(arrival.kind, name, by_name.get(name)) for name in names)
        return [one for one in planned if one is not None]
    if arrival.kind is Kind.ACKNOWLEDGED:
        hearing = (name for name in names if name in by_name and by_name[name].kind in TOLD_OF_CARE)
        planned = (_plan_one(arrival.kind, name, by_name[name]) for name in hearing)
        return [one for one in planned if one is not None]
    return []


def recipients(
    arrival: Arrival, by_name: Mapping[str, Channel], routes: Sequence[Route], heard: Collection[str]
) -> list[str]:
    """The names of the channels to tell: those that the rule names, else those of the routes, else the default ones.

    What follows a firing goes to who has heard of that, whatever was changed meanwhile, as far as there still is such a
    channel: that it got worse to others as well, that it's over to nobody else.
    """
    known = [name for name in heard if name in by_name or name in arrival.channels]
    if heard and arrival.kind in FOLLOWS:
        return known
    names = (
        arrival.channels
        or channels_of(routes_of(arrival.facts, routes) if routes else ())
        or sorted(name for name, channel in by_name.items() if channel.is_default)
    )
    return list(dict.fromkeys([*names, *(known if arrival.kind is Kind.SEVERITY_CHANGED else ())]))


def _plan_one(kind: Kind, name: str, channel: Channel | None) -> Planned | None:
    if channel is None:
        reason = f"there is no channel {name!r}; make it again, or name another one in the rule"
        return Planned(name, None, State.SUPPRESSED, reason)
    if kind is Kind.RESOLVED and not channel.send_resolved:
        return None
    if channel.unusable_reason:
        # What fires until an address is verified is told then.
        until = NEVER if channel.waits and kind is not Kind.RESOLVED else 0
        return Planned(name, channel, State.SUPPRESSED, channel.suppression, until)
    return Planned(name, channel, State.PENDING)


def never_told(firing: Collection[State]) -> bool:
    """Whether the receiver never learnt that an alert fired, so that its end would be news about nothing.

    `firing` are the states of the deliveries to the same channel that said so, of the firing itself and of what got
    worse since or was escalated; what may have arrived counts as accepted, whatever became of it. If there are none the
    end is told, since the firing may have been told before the channel's queue was made anew.
    """
    return bool(firing) and all(state in (State.DEAD, State.SUPPRESSED, State.SUPERSEDED) for state in firing)
