"""Mute timings: hours in which nobody is told of some alerts, or outside of which."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.mesh.times import MINUTE
from monitors.notifier.model.matching import Matcher, all_hold, check_matchers
from monitors.notifier.model.muting import Mute
from monitors.notifier.model.policies import Named, check_name
from monitors.notifier.model.windows import Window, end_of

MOST_WINDOWS = 20
MOST = 100
"""How many a tenant may have."""


@dataclass(frozen=True)
class MuteTiming(Named):
    """Nobody is told of what its matchers hold for within its windows; with `active`, outside of them."""

    noun: ClassVar[str] = "mute timing"
    nouns: ClassVar[str] = "mute timings"

    matchers: tuple[Matcher, ...]
    windows: tuple[Window, ...]
    active: bool

    def mute(self, facts: Mapping[str, str], now: int) -> Mute | None:
        """What it does to an alert now; None if it lets it be told."""
        if not all_hold(self.matchers, facts):
            return None
        end = _end_of_mute(self.windows, self.active, now // MINUTE)
        return Mute(f"muted by the timing {self.name!r} ({self.id})", end) if end else None


@lru_cache(maxsize=1024)
def _end_of_mute(windows: tuple[Window, ...], active: bool, minute: int) -> int:
    """Until when they mute, 0 if they don't. No window begins or ends within a minute, and of a storm of alerts each
    would ask."""

    def is_mute(instant: int) -> bool:
        return any(window.holds(instant) for window in windows) is not active

    now = minute * MINUTE
    return end_of(is_mute, windows, now) if is_mute(now) else 0


def check(before: MuteTiming | None, timing: MuteTiming, now: int) -> None:
    """Raises InvalidFields if there can't be such a timing."""
    errors = check_matchers(timing.matchers, "mute_timing.matchers") + check_name(timing.name, "mute_timing.name")
    if not 1 <= len(timing.windows) <= MOST_WINDOWS:
        errors.append(InvalidField("mute_timing.windows", f"there are {len(timing.windows)}; send 1 to {MOST_WINDOWS}"))
    if errors:
        raise InvalidFields.of(errors)
