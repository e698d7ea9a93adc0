"""Silences: of some alerts nobody is told for a while. The alerts themselves go on, and so does what ends them."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from monitors.mesh.errors import EtagMismatch, InvalidField, InvalidFields
from monitors.mesh.times import DAY
from monitors.notifier.model.matching import Matcher, all_hold, check_matchers
from monitors.notifier.model.muting import Mute

LONGEST_COMMENT = 500
LONGEST = 366 * DAY
MOST = 500
"""How many a tenant may have that aren't over."""
KEPT = 30 * DAY
"""How long those that are over are shown."""


@dataclass(frozen=True)
class Silence:
    """Nobody is told of what its matchers hold for, from `start` until `end`: nanoseconds since 1970."""

    tenant: str
    id: str
    matchers: tuple[Matcher, ...]
    start: int
    end: int
    comment: str
    creator: str = ""
    create_time: int = 0
    revision: int = 1

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return hashlib.sha256(f"{self.id}/{self.revision}".encode()).hexdigest()[:12]

    def mute(self, facts: Mapping[str, str], now: int) -> Mute | None:
        """What it does to an alert now; None if it lets it be told."""
        if self.start <= now < self.end and all_hold(self.matchers, facts):
            return Mute(f"silenced by {self.id}: {self.comment}", self.end)
        return None


def check_new(silence: Silence, now: int) -> Silence:
    """The silence, if it can be made now. Raises InvalidFields."""
    _raise(_check(silence), *_check_end(silence, now))
    return silence


def check_change(before: Silence, after: Silence, now: int) -> Silence:
    """What a silence becomes. Raises InvalidFields, also for one that is over: that stays what it was."""
    if before.end <= now:
        raise InvalidField("silence.id", f"the silence {before.id} is over; make a new one")
    _raise(_check(after), *(_check_end(after, now) if after.end != before.end else ()))
    return replace(after, revision=before.revision + 1) if after != before else before


def check_etag(silence: Silence, etag: str) -> None:
    """Raises EtagMismatch if an etag was sent and isn't the silence's."""
    if etag and etag != silence.etag:
        raise EtagMismatch("silence", silence.id, etag, silence.etag)


def ended(silence: Silence, now: int) -> Silence:
    """The silence, over by now."""
    return replace(silence, end=now, start=min(silence.start, now), revision=silence.revision + 1)


def _raise(errors: Sequence[InvalidField], *further: InvalidField) -> None:
    if errors or further:
        raise InvalidFields.of([*errors, *further])


def _check(silence: Silence) -> list[InvalidField]:
    errors = check_matchers(silence.matchers, "silence.matchers")
    if not silence.matchers:
        errors.append(
            InvalidField("silence.matchers", "there is none; send at least one, such as monitor_id = checkout")
        )
    elif not errors and all_hold(silence.matchers, {}):
        errors.append(
            InvalidField(
                "silence.matchers",
                "they hold for an alert without any of these facts, and so for nearly all; let one of them ask for "
                "something, such as monitor_id = checkout, or monitor_id =~ .+ for really all alerts",
            )
        )
    if not silence.comment.strip() or len(silence.comment) > LONGEST_COMMENT or not silence.comment.isprintable():
        errors.append(InvalidField("silence.comment", f"send why in one line of 1 to {LONGEST_COMMENT} characters"))
    if silence.end and silence.end <= silence.start:
        errors.append(InvalidField("silence.end_time", "it isn't after start_time; send a later one"))
    elif silence.end - silence.start > LONGEST:
        errors.append(
            InvalidField(
                "silence.end_time",
                f"it would last for more than {LONGEST // DAY} days; turn the rule off instead, or send an earlier one",
            )
        )
    return errors


def _check_end(silence: Silence, now: int) -> list[InvalidField]:
    if not silence.end:
        return [InvalidField("silence.end_time", "is empty; send until when")]
    return (
        [InvalidField("silence.end_time", "it's over already; send one that is still to come")]
        if silence.end <= now
        else []
    )
