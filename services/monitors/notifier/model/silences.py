"""Silences: of some alerts nobody is told for a while. The alerts themselves go on, and so does what ends them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.mesh.times import DAY
from monitors.notifier.model.matching import Matcher, all_hold, check_matchers
from monitors.notifier.model.muting import Mute
from monitors.notifier.model.policies import Entry

LONGEST_COMMENT = 500
LONGEST = 366 * DAY
MOST = 500
"""How many a tenant may have that aren't over."""
KEPT = 30 * DAY
"""How long those that are over are shown."""


@dataclass(frozen=True)
class Silence(Entry):
    """Nobody is told of what its matchers hold for, from `start` until `end`: nanoseconds since 1970."""

    noun: ClassVar[str] = "silence"
    nouns: ClassVar[str] = "silences"

    matchers: tuple[Matcher, ...]
    start: int
    end: int
    comment: str
    creator: str = ""

    def mute(self, facts: Mapping[str, str], now: int) -> Mute | None:
        """What it does to an alert now; None if it lets it be told."""
        if self.start <= now < self.end and all_hold(self.matchers, facts):
            return Mute(f"silenced by {self.id}: {self.comment}", self.end)
        return None


def check(before: Silence | None, after: Silence, now: int) -> None:
    """Raises InvalidFields if a silence, None if it's new, can't become another one, now. One that is over stays what
    it was."""
    if before and before.end <= now:
        raise InvalidField("silence.id", f"the silence {before.id} is over; make a new one")
    errors = _check(after)
    if before is None or after.end != before.end:
        errors += _check_end(after, now)
    if errors:
        raise InvalidFields.of(errors)


def ended(silence: Silence, now: int) -> Silence:
    """The silence, over by now."""
    if silence.end <= now:
        return silence
    return replace(silence, end=now, start=min(silence.start, now), revision=silence.revision + 1)


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
