"""A stage for tests of the model: a few series, rules, points in seconds, and what was told."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleSpec
from monitors.evaluator.model.state import Status

SECOND = 10**9
START = 472_223 * 3600 * SECOND
"""The beginning of an hour."""
NAN = float("nan")


def at(seconds: float) -> int:
    """Nanoseconds of so many seconds after the start."""
    return START + round(seconds * SECOND)


def series(
    index: int,
    *,
    monitor: str = "m",
    field: str = "cpu",
    measurement: str = "host",
    kind: FieldType = FieldType.FLOAT,
    **tags: str,
) -> Series:
    """A series of tenant `t`."""
    return Series(index, SeriesKey("t", monitor, measurement, field, tuple(sorted(tags.items()))), kind)


def threshold(low: float = 10, **changes: Any) -> RuleSpec:
    """`cpu > low` on monitor `m`, evaluated at least every ten seconds; durations in seconds."""
    spec = RuleSpec("t", "rule_1", "m", ConditionKind.THRESHOLD, field="cpu", low=low, interval=10 * SECOND)
    return in_seconds(spec, changes)


def absence(seconds: float, **changes: Any) -> RuleSpec:
    """`no data for …` on monitor `m`."""
    spec = RuleSpec("t", "rule_1", "m", ConditionKind.ABSENCE, interval=10 * SECOND)
    return in_seconds(spec, {"absent_for": seconds, **changes})


def in_seconds(spec: RuleSpec, changes: dict[str, Any]) -> RuleSpec:
    """The rule with changes, whose durations are given in seconds."""
    durations = {
        "window", "offset", "since", "ahead", "absent_for", "for_duration", "keep_firing_for", "interval",
    }  # fmt: skip
    return replace(spec, **{name: round(v * SECOND) if name in durations else v for name, v in changes.items()})


def points(rows: Iterable[tuple[int, float, float]]) -> Points:
    """(series, seconds, value) as points."""
    listed = list(rows)
    return Points(
        np.array([row[0] for row in listed], dtype=np.int32),
        np.array([at(row[1]) for row in listed], dtype=np.int64),
        np.array([row[2] for row in listed], dtype=np.float64),
    )


def told(transitions: Iterable[Transition]) -> list[tuple[str, float, str]]:
    """What happened, in short: (`firing`, `severity_changed` or the resolve's reason, seconds, tags)."""
    return [
        (
            one.reason if one.kind is TransitionKind.RESOLVED else one.kind.name.lower(),
            (one.time - START) / SECOND,
            ",".join(value for _, value in one.key.tags),
        )
        for one in transitions
    ]


def status_of(evaluation: Evaluation, key: InstanceKey) -> Status:
    """The state of an instance. Raises LookupError if there is no such."""
    place = evaluation.plan.place_of(key)
    if place is None:
        raise LookupError(f"there is no instance {key}")
    return Status(int(evaluation.state.instances.status[place]))


def level_of(evaluation: Evaluation, key: InstanceKey) -> int:
    """The level at which an instance fires, 0 for none. Raises LookupError if there is no such."""
    place = evaluation.plan.place_of(key)
    if place is None:
        raise LookupError(f"there is no instance {key}")
    return int(evaluation.state.instances.level[place])


class Scene:
    """An evaluation whose series and rules are there from the start, with time in seconds."""

    def __init__(self, *specs: RuleSpec, known: Iterable[Series] = (), at_once: bool = False) -> None:
        self.evaluation = Evaluation(START)
        self.known = list(known) or [series(0)]
        self.evaluation.add_series(self.known)
        for spec in specs:
            self.put(spec, 0, at_once=at_once)

    def put(self, spec: RuleSpec, seconds: float, *, at_once: bool = True) -> list[tuple[str, float, str]]:
        """Adds or changes a rule for which no older points exist."""
        fill, transitions = self.evaluation.put_rule(spec, at(seconds))
        self.evaluation.filled(fill, [False] * len(self.known))
        self.evaluation.activate([spec.key], at_once=at_once)
        return told(transitions)

    def feed(self, *rows: tuple[int, float, float], now: float) -> list[tuple[str, float, str]]:
        """Takes points and evaluates until `now`."""
        return told(self.evaluation.advance(points(rows), at(now)))

    def until(self, now: float) -> list[tuple[str, float, str]]:
        """Evaluates until `now` without points."""
        return told(self.evaluation.advance(NO_POINTS, at(now)))

    def status(self, monitor: str = "m", rule_id: str = "rule_1", **tags: str) -> Status:
        """The state of an instance."""
        return status_of(self.evaluation, InstanceKey("t", rule_id, monitor, tuple(sorted(tags.items()))))
