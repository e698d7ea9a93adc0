"""Inhibitions: while some alerts fire, nobody is told of others. These go on, and are told when those end."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from monitors.mesh.errors import InvalidField, InvalidFields, WrongState
from monitors.mesh.times import MINUTE
from monitors.notifier.model.matching import LONGEST_NAME, Matcher, Operator, all_hold, check_matchers
from monitors.notifier.model.muting import Mute
from monitors.notifier.model.policies import Named, check_name

MOST = 100
"""How many a tenant may have."""
MOST_EQUAL = 10
LOOK_AGAIN = 10 * MINUTE
"""After how long it's looked whether what inhibits an alert still fires, should its end have been missed."""
BUILT_IN = "inh_critical"


@dataclass(frozen=True)
class Inhibition(Named):
    """Whatever fires and has its sources' facts keeps what has its targets' from being told, if both are equal in the
    facts that `equal` names. One that an alert lacks is empty. Its meaning is Alertmanager's."""

    noun: ClassVar[str] = "inhibition"
    nouns: ClassVar[str] = "inhibitions"

    sources: tuple[Matcher, ...]
    targets: tuple[Matcher, ...]
    equal: tuple[str, ...]
    enabled: bool = True

    def key(self, facts: Mapping[str, str]) -> str:
        """The same for all alerts that can inhibit each other by it, as it is now."""
        return _key(f"{self.id}/{self.revision}", tuple([facts.get(name, "") for name in self.equal]))

    @property
    def words(self) -> str:
        """How it's told why somebody wasn't."""
        return "a critical alert of the same monitor" if self.id == BUILT_IN else f"{self.name!r} ({self.id})"


@lru_cache(maxsize=4096)
def _key(inhibition: str, values: tuple[str, ...]) -> str:
    return hashlib.sha256("\0".join((inhibition, *values)).encode()).hexdigest()[:40]


def built_in(tenant: str) -> Inhibition:
    """What every tenant has until it's turned off: critical alerts mute lower ones of the same monitor."""
    critical = Matcher("severity", Operator.EQUAL, "critical")
    lower = Matcher("severity", Operator.NOT_EQUAL, "critical")
    return Inhibition(tenant, BUILT_IN, "critical", (critical,), (lower,), ("monitor_id",))


Place = tuple[str, bool]
"""Where an alert that inhibits is found: a key, and whether it could be inhibited by the same inhibition itself."""


def places_of_source(inhibitions: Iterable[Inhibition], facts: Mapping[str, str]) -> list[Place]:
    """Where an alert that fires is found by those that it inhibits."""
    return [(one.key(facts), all_hold(one.targets, facts)) for one in inhibitions if all_hold(one.sources, facts)]


def places_of_target(inhibitions: Iterable[Inhibition], facts: Mapping[str, str]) -> Iterator[tuple[Place, Inhibition]]:
    """Where what inhibits an alert is found. What matches both sides, as the alert itself may, isn't inhibited by what
    does the same."""
    for one in inhibitions:
        if all_hold(one.targets, facts):
            key = one.key(facts)
            yield (key, False), one
            if not all_hold(one.sources, facts):
                yield (key, True), one


@dataclass(frozen=True)
class Inhibiting:
    """What inhibits alerts now: an alert for each place at which there is one."""

    inhibitions: Sequence[Inhibition]
    found: Mapping[Place, str]

    def mute(self, facts: Mapping[str, str], now: int) -> Mute | None:
        """What it does to an alert now; None if it lets it be told."""
        for place, by in places_of_target(self.inhibitions, facts) if self.found else ():
            if place in self.found:
                return Mute(f"inhibited by {self.found[place]}: {by.words}", now + LOOK_AGAIN, place[0])
        return None


def check(before: Inhibition | None, after: Inhibition, now: int) -> None:
    """Raises InvalidFields if there can't be such an inhibition."""
    if before and before.id == BUILT_IN and replace(after, enabled=before.enabled) != before:
        raise InvalidField("inhibition", "it's built in, so that only enabled can be changed; make one of your own")
    errors = check_name(after.name, "inhibition.name")
    for matchers, field in (
        (after.sources, "inhibition.source_matchers"),
        (after.targets, "inhibition.target_matchers"),
    ):
        errors += check_matchers(matchers, field)
        if not matchers:
            errors.append(InvalidField(field, "there is none; send at least one, such as severity = critical"))
    if len(after.equal) > MOST_EQUAL:
        errors.append(InvalidField("inhibition.equal", f"there are {len(after.equal)}; send at most {MOST_EQUAL}"))
    for number, name in enumerate(after.equal):
        if not name or len(name) > LONGEST_NAME or not name.isprintable():
            place = f"inhibition.equal[{number}]"
            errors.append(InvalidField(place, f"send a name of 1 to {LONGEST_NAME} characters, such as monitor_id"))
    if errors:
        raise InvalidFields.of(errors)


def rest(inhibition: Inhibition, now: int) -> None:
    """Nothing is left of one that is deleted. Raises WrongState for the one that is built in."""
    if inhibition.id == BUILT_IN:
        raise WrongState("inhibition_id: it's built in, so it can't be deleted; turn it off: set enabled to false")
