"""What an engine told, beside what an oracle tells: as the same words, in the same order, as RuleService hears it."""

from monitors.evaluator.model.machine import Transition
from tests.evaluator.engine.oracle import Identity, Told


def plainly(one: Transition) -> Told:
    """A transition as the oracle tells it."""
    kind = one.kind.name.lower()
    return (kind, one.key.monitor, one.key.tags, one.time, one.episode, one.value, one.reason, one.level)


def by_time(told: list[Told]) -> list[Told]:
    """Instances that change at the same instant have no order among themselves, the changes of one have."""
    return sorted(told, key=lambda one: (one[3], one[1], one[2]))


def heard(told: list[Told], opened: set[Identity]) -> list[Told]:
    """What RuleService makes of it: the end of an alert that isn't open, since a person closed it, says nothing."""
    still_open, listened = set(opened), []
    for one in by_time(told):
        kind, identity = one[0], (one[1], one[2])
        if kind == "firing":
            still_open.add(identity)
        elif identity not in still_open:
            continue
        elif kind == "resolved":
            still_open.remove(identity)
        listened.append(one)
    return listened
