"""Why the instances of a rule are in their states, and what happens next."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

import numpy as np

from monitors.evaluator.model.arrays import NEVER, UNSET
from monitors.evaluator.model.condition import inputs_of, newest_of_inputs, truths
from monitors.evaluator.model.evaluation import Evaluation
from monitors.evaluator.model.formula_explanation import last_heard, tell
from monitors.evaluator.model.machine import MISSING_INTERVALS
from monitors.evaluator.model.reading import Aggregation, Function
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec, Severity
from monitors.evaluator.model.state import Status
from monitors.evaluator.model.texts import code_of
from monitors.evaluator.model.wording import at as said_at
from monitors.evaluator.model.wording import in_bounds, quoted
from monitors.mesh.quantities import format_duration, format_number

MOST_EXPLAINED = 100
_ORDER = {Status.FIRING: 0, Status.PENDING: 1, Status.INACTIVE: 2}
_SIGNS = {1: ">", 2: ">=", 3: "<", 4: "<=", 5: "==", 6: "!="}


@dataclass(frozen=True)
class Explanation:
    """An instance as it is at `time`; `since` is when its condition became what it is, if that's remembered."""

    key: InstanceKey
    status: Status
    value: float | None
    """None if it's unknown, or a text."""
    time: int
    since: int | None
    text: str
    level: int = 0
    """The severity at which it fires, if its rule has levels."""


def explain(
    evaluation: Evaluation,
    key: RuleKey,
    monitors: Collection[str] = (),
    most: int = MOST_EXPLAINED,
    *,
    is_polled: bool = False,
) -> list[Explanation]:
    """The first instances of a rule, or of those on some monitors: firing ones come first, then pending ones.

    `is_polled` says that what hasn't come yet may be there already: it's read later than it was measured.
    """
    plan = evaluation.plan
    if key not in plan:
        return []
    spec, places = plan.spec(key), plan.places_of([key])
    order = [_ORDER[Status(status)] for status in evaluation.state.instances.status[places].tolist()]
    instances = sorted(zip(order, plan.keys_of(places), places.tolist(), strict=True))
    wanted = (place for _, instance, place in instances if not monitors or instance.monitor in monitors)
    # The evaluation waits meanwhile: of thousands nobody reads more than the first ones.
    return [_explain(evaluation, spec, place, is_polled=is_polled) for place in islice(wanted, most)]


@dataclass(frozen=True)
class _Situation:
    """What is known of an instance."""

    spec: RuleSpec
    status: Status
    holds: bool
    value: float | None
    """None if it's unknown; of a text its code."""
    is_unknown: bool
    newest: int
    heard: str
    """From when the newest point is."""
    clocks: dict[str, int]
    due: int
    silent: bool
    level: int
    inputs: str
    """With a formula: what its parts come to."""
    unheard: str
    """Why there is nothing, if no point of it has ever been evaluated."""


def _explain(evaluation: Evaluation, spec: RuleSpec, place: int, *, is_polled: bool) -> Explanation:
    plan, state, now = evaluation.plan, evaluation.state, evaluation.evaluated_to(place)
    where, at = np.array([place]), np.array([now])
    found = truths(plan, evaluation.window, state, where, at)
    told_inputs = tell(evaluation, place, is_polled=is_polled) if spec.formula is not None else ""
    value = None if np.isnan(found.values[0]) else float(found.values[0])
    instances = state.instances
    names = ("active_at", "fired_at", "false_since", "frozen_since", "missing_since")
    situation = _Situation(
        spec=spec,
        status=Status(int(instances.status[place])),
        holds=bool(found.holds[0]),
        value=value,
        is_unknown=bool(found.unknown[0]),
        newest=int(newest_of_inputs(plan, evaluation.window, where, at)[0]),
        heard=last_heard(evaluation.window, inputs_of(plan, place), now),
        clocks={name: int(getattr(instances, name)[place]) for name in names},
        due=int(instances.due[place]),
        silent=bool(instances.silent[place]),
        level=int(instances.level[place]),
        inputs=told_inputs,
        unheard=_unheard(now, is_live=bool(plan.instances.live[place]), is_polled=is_polled),
    )
    key, since, text = plan.key_of(place), _since(situation), _text(situation, now)
    told = None if spec.of_text else value
    return Explanation(key, situation.status, told, now, since, text, situation.level)


def _unheard(now: int, *, is_live: bool, is_polled: bool) -> str:
    if not is_live:
        return "its points from before are being read first"
    if is_polled:
        return f"it waits for the poll that brings its first point; what was polled is evaluated up to {said_at(now)}"
    return "no point has come yet"


def _since(one: _Situation) -> int | None:
    clocks = one.clocks
    if one.clocks["frozen_since"] != UNSET:
        return clocks["frozen_since"]
    if one.status is Status.FIRING and clocks["false_since"] != UNSET:
        return clocks["false_since"]
    return clocks["active_at"] if one.status is not Status.INACTIVE else None


def _text(one: _Situation, now: int) -> str:
    if one.spec.kind is ConditionKind.ABSENCE:
        return _of_absence(one)
    if one.is_unknown:
        return f"{_why_unknown(one, now)}. {_while_unknown(one)}"
    value, test = _value(one), _test(one.spec)
    match one.status:
        case Status.INACTIVE:
            lasting = f" for {format_duration(one.spec.for_duration)}" if one.spec.for_duration else ""
            return f"{value}; it fires once it is {test}{lasting}"
        case Status.PENDING:
            fires = one.clocks["active_at"] + one.spec.for_duration
            since = said_at(one.clocks["active_at"])
            return f"{value}, and {test} since {since}; it fires at {said_at(fires)} unless that changes before"
        case Status.FIRING:
            return _of_firing(one, value, test)


def _value(one: _Situation) -> str:
    """What the value is. Of a text only those are known that the rule names."""
    if one.spec.kind is ConditionKind.FORMULA:
        return f"it's {'true' if one.holds else 'false'}: {one.inputs}"
    if one.spec.formula is not None:
        return f"it's {format_number(one.value or 0.0)} ({one.inputs})"
    if not one.spec.of_text:
        return f"it's {format_number(one.value or 0.0)}"
    found = [text for text in one.spec.texts if code_of(text) == one.value]
    return f"it's {quoted(found[0])}" if found else f"it isn't {' or '.join(map(quoted, one.spec.texts))}"


def _of_firing(one: _Situation, value: str, test: str) -> str:
    fired = f"it fires since {said_at(one.clocks['fired_at'])}" + (", resolved by hand" if one.silent else "")
    if one.level:
        return f"{fired}; {_of_level(one, value)}"
    recover = one.spec.recover
    ends = in_bounds(recover, one.spec.texts) if recover else f"not {test} any more"
    kept = one.spec.keep_firing_for
    if one.clocks["false_since"] != UNSET:
        over = said_at(one.clocks["false_since"] + kept)
        return f"{fired}; {value}, {ends} since {said_at(one.clocks['false_since'])}, and is resolved at {over} if so"
    lasting = f" for {format_duration(kept)}" if kept else ""
    return f"{fired}; {value}, and is resolved once it is {ends}{lasting}"


def _of_level(one: _Situation, value: str) -> str:
    severity, spec = Severity(one.level), one.spec
    if one.clocks["false_since"] != UNSET:
        over = said_at(one.clocks["false_since"] + spec.keep_firing_for)
        since = said_at(one.clocks["false_since"])
        return f"{value}, at no level since {since}, and is resolved as {_name(severity)} at {over} if so"
    tests = {level.severity: (in_bounds(level.bounds), level.reset) for level in spec.levels}
    said, reset = tests.get(severity, (_own_test(spec), spec.recover))
    lowered = in_bounds(reset) if reset else f"not {said} any more"
    return f"{value}, which is {_name(severity)}, and is lowered or resolved once it is {lowered}"


def _of_absence(one: _Situation) -> str:
    silence = format_duration(one.spec.absent_for)
    if one.newest == UNSET:
        return f"{one.unheard}; only what has been heard of once can fall silent"
    last = one.heard
    if one.status is Status.FIRING:
        return f"{last}; it fires since {said_at(one.clocks['fired_at'])}, and is resolved with the next point"
    if one.status is Status.PENDING:
        fires = one.clocks["active_at"] + one.spec.for_duration
        return f"{last}; it fires at {said_at(fires)} unless one comes before"
    if one.due == NEVER:
        return f"{last}; it fires once none has come for {silence}"
    return f"{last}; if none comes for {silence}, that is until {said_at(one.due)}, it is true"


def _why_unknown(one: _Situation, now: int) -> str:
    spec = one.spec
    if one.newest == UNSET:
        return f"nothing is known: {one.unheard}"
    if spec.formula is not None:
        return f"it isn't known: {one.inputs}"
    if now - one.newest > spec.window + spec.offset:
        counts = f"only those of the last {format_duration(spec.window)} count"
        return f"nothing is known: {one.heard}, and {counts}"
    if spec.function in (Function.CHANGE, Function.PERCENT_CHANGE):
        return f"nothing is known: there's no value of {format_duration(spec.since)} before, or it's 0"
    if spec.aggregation is Aggregation.LATEST:
        return "nothing is known: the newest value isn't a number, or too old"
    return f"nothing is known: there are too few numbers in the last {format_duration(spec.window)}"


def _while_unknown(one: _Situation) -> str:
    if one.clocks["missing_since"] != UNSET:
        ends = one.clocks["missing_since"] + MISSING_INTERVALS * one.spec.interval
        return f"Other series report: it is resolved at {said_at(ends)} unless a point comes"
    if one.clocks["frozen_since"] != UNSET:
        return f"Its state is kept as it was at {said_at(one.clocks['frozen_since'])}"
    if one.status is Status.FIRING:
        return f"It fires since {said_at(one.clocks['fired_at'])}"
    return f"It fires once it is {_test(one.spec)}"


def _test(spec: RuleSpec) -> str:
    if not spec.levels or spec.severity is None:
        return _own_test(spec)
    tests = {spec.severity: _own_test(spec), **{level.severity: in_bounds(level.bounds) for level in spec.levels}}
    return " or ".join(f"{tests[severity]} ({_name(severity)})" for severity in sorted(tests))


def _name(severity: Severity) -> str:
    return severity.name.lower()


def _own_test(spec: RuleSpec) -> str:
    if spec.kind is ConditionKind.FORMULA:
        return "true"
    if spec.kind is ConditionKind.RANGE or spec.of_text:
        return in_bounds(spec.bounds(spec.low, spec.high), spec.texts)
    within = f" within {format_number(spec.tolerance)}" if spec.tolerance else ""
    return f"{_SIGNS[spec.operator]} {format_number(spec.low)}{within}"
