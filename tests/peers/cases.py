"""What a case of a peer is: facts about its input and about what the peer says of it. Times are seconds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from monitors.evaluator.model.reading import Aggregation

LOOK_BACK = 300.0

Samples = tuple[tuple[float, float], ...]
"""(second, value), in the order of time."""


class Message(NamedTuple):
    """What is told of an instance, `rule/series`, and when. `what` is `firing` or `resolved`."""

    second: float
    what: str
    instance: str


class PeerLevel(NamedTuple):
    """Another level of a rule: `operator low` with the rule's operator, and what must hold to leave it downwards."""

    name: str
    low: float
    reset: tuple[str, float] | None = None


@dataclass(frozen=True)
class PeerRule:
    """`field operator low`, one instance for each series of the field; or what a text says."""

    name: str = "rule"
    field: str = "v"
    operator: str = ">"
    low: float = 0.0
    pending: float = 0.0
    """How long the condition must hold: `for`."""
    keep: float = 0.0
    """How long it goes on firing afterwards."""
    recover: tuple[str, float] | None = None
    """What ends it once it fires, if that isn't the opposite of the condition."""
    level: str = ""
    """What the condition's own level is called, if there are others."""
    levels: tuple[PeerLevel, ...] = ()
    aggregation: Aggregation = Aggregation.LATEST
    window: float = LOOK_BACK
    in_a_row: int = 0
    """How many points, one after the other, must compare true; 0: the aggregate is compared."""
    condition: str = ""
    """The condition as people write it, in place of all that says what is compared."""


@dataclass(frozen=True)
class Expected:
    """What is said of a case. Whatever a peer doesn't publish is left out and not looked at."""

    states: Mapping[str, Sequence[tuple[float, str]]] = field(default_factory=dict)
    """For an instance, `rule/series`: its state after the evaluation at a second."""
    levels: Sequence[tuple[float, str]] = ()
    """The name of the level at which the only rule fires on the only series; `OK` if it doesn't."""
    messages: Sequence[Message] | None = None
    """Everything that is told, in the order of time."""
    begun: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """For an instance: since when the condition has held, each time it fires."""
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """For an instance: the value, each time it fires."""
    changes: Mapping[str, Sequence[tuple[float, str]]] = field(default_factory=dict)
    """When the level changes, and to which. The key says which changes are meant: `from>to`, either may be `any`."""

    @property
    def count(self) -> int:
        """How many facts these are."""
        told = len(self.messages) if self.messages is not None else 0
        by_name = (self.states, self.begun, self.values, self.changes)
        lists = (*(one for named in by_name for one in named.values()), self.levels)
        # That nothing at all is told is a fact too.
        return told + sum(len(one) for one in lists) + (self.messages is not None and not told)


@dataclass(frozen=True)
class Case:
    """A case. Evaluated at the multiples of the interval only, the first at second 0, unless it has batches."""

    peer: str
    name: str
    interval: float
    rules: tuple[PeerRule, ...]
    series: Mapping[str, Samples]
    """By `field/series`, or by the series alone if the field is `v`. A series is a name or its tags: `host=A,cpu=0`."""
    expected: Expected
    batches: tuple[tuple[float, Samples], ...] = ()
    """When samples of the only series come in, in which order. They are evaluated at each point, in its own time."""
    outage: tuple[float, float] | None = None
    """The process is killed after the first second's evaluation and comes back at the other."""
    before: tuple[PeerRule, ...] | None = None
    """The rules before the outage, if they were others."""
    series_before: Mapping[str, Samples] | None = None
    """The series before the outage, if they were others."""
    differs: str = ""
    """Why we say something else, if we do on purpose."""
    ours: Expected | None = None
    """What we say instead."""

    @property
    def last(self) -> float:
        """The last second that matters."""
        samples = [second for one in self.series.values() for second, _ in one]
        samples += [second for second, _ in self.batches]
        looked_at = [second for one in (self.expected, self.ours) if one for second in _seconds(one)]
        return max([*samples, *looked_at])


def _seconds(expected: Expected) -> Iterable[float]:
    for states in expected.states.values():
        yield from (second for second, _ in states)
    yield from (second for second, _ in expected.levels)
    yield from (one.second for one in expected.messages or ())
    for changes in expected.changes.values():
        yield from (second for second, _ in changes)


def every(step: float, *values: float, start: float = 0.0) -> Samples:
    """Values at regular intervals."""
    return tuple((start + step * index, value) for index, value in enumerate(values))


def steps(*blocks: tuple[float, float], step: float, until: float) -> Samples:
    """Regular samples that keep a value: `blocks` are (from which second, value)."""
    samples = []
    for index in range(round(until / step) + 1):
        second = index * step
        samples.append((second, [value for begin, value in blocks if begin <= second][-1]))
    return tuple(samples)
