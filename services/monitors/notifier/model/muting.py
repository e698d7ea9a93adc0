"""What keeps alerts from being told for a while: silences, mute timings, inhibitions. The alerts themselves go on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from monitors.notifier.model.delivery import Arrival, Planned, State
from monitors.notifier.model.message import Kind

MUTABLE = (Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING)
"""What isn't told then. An end is, so that nothing that was told goes on for ever at the receiver."""


@dataclass(frozen=True)
class Mute:
    """Why nobody is told of an alert, and until when: nanoseconds since 1970."""

    reason: str
    until: int
    key: str = ""
    """By which those are found whom something else lets be told before; empty if nothing does."""


class Muting(Protocol):
    """Whatever may keep alerts from being told."""

    def mute(self, facts: Mapping[str, str], now: int) -> Mute | None:
        """What it does to an alert now; None if it lets it be told."""


def mute_of(facts: Mapping[str, str], mutings: Iterable[Muting], now: int) -> Mute | None:
    """What keeps an alert from being told; of several the one that lasts longest. None if nothing does."""
    mutes = (mute for one in mutings if (mute := one.mute(facts, now)))
    return max(mutes, key=lambda mute: mute.until, default=None)


def under(
    mutings: Sequence[Muting],
    arrival: Arrival,
    planned: Sequence[Planned],
    now: int,
    facts: Mapping[str, str] | None = None,
) -> list[Planned]:
    """What remains of a plan: what would be sent, but is muted, is suppressed. The alert's facts are those of the
    arrival, unless others are given."""
    mute = mute_of(facts or arrival.facts, mutings, now) if mutings and arrival.kind in MUTABLE else None
    if mute is None:
        return list(planned)
    return [
        replace(one, state=State.SUPPRESSED, reason=mute.reason, muted_until=mute.until, muted_by=mute.key)
        if one.state is State.PENDING
        else one
        for one in planned
    ]
