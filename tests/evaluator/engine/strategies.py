"""Random rules, points and events for the comparison of engine and oracle."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.reading import Aggregation, Function, Occurrence, TagFilter
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.model.spec import ConditionKind, Level, MissingPolicy, RuleSpec, Severity
from monitors.evaluator.model.texts import code_of
from tests.evaluator.engine.events import (
    Appear,
    Arrive,
    Close,
    Crash,
    Event,
    Move,
    Put,
    Remove,
    Restart,
    Save,
    SetBack,
    Stand,
)
from tests.evaluator.engine.formulas import conditions, expressions
from tests.evaluator.engine.scene import SECOND, series

KNOWN = [
    series(0, core="0"),
    series(1, core="1"),
    series(2, monitor="n", core="0"),
    series(3, field="load"),
    series(4, monitor="n", core="1"),
    series(5, field="load", core="0"),
    series(6, field="load", core="1"),
    series(7, field="status", kind=FieldType.STRING),
    series(8, monitor="n", field="status", kind=FieldType.STRING),
]
TEXTS = ("up", "down", "")
RECOVERIES = [
    None,
    None,
    None,
    bounds(Operator.LESS, 1.0),
    bounds(Operator.GREATER_OR_EQUAL, 5.0),
    Bounds(0.5, 2, True),
]
LEVELS = [
    Bounds(-math.inf, 1.0),
    bounds(Operator.GREATER, 2.0),
    bounds(Operator.GREATER_OR_EQUAL, 5.0),
    Bounds(10.0, math.inf),
    Bounds(0.5, 5.0, True),
]
FILTERS = [
    (TagFilter("core", "1", negated=True),),
    (TagFilter("core", "[0-9]+", pattern=True),),
    (TagFilter("core", "1|2", negated=True, pattern=True),),
]
OCCURRENCES = [None, None, None, Occurrence(), Occurrence(2), Occurrence(2, 3), Occurrence(0, 2)]
VALUES = st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 10.5, float("nan"), float("inf"), float("-inf")])
CODES = st.sampled_from([code_of(text) for text in TEXTS])
RULE_IDS = ["rule_0", "rule_1", "rule_2"]

HARMLESS = ("for_duration", "keep_firing_for", "interval", "no_data", "missing_series", "every_point")
THRESHOLD = (
    "function",
    "aggregation",
    "window",
    "offset",
    "quantile",
    "ahead",
    "since",
    "occurrence",
    "operator",
    "low",
    "high",
    "outside",
    "tolerance",
    "of_text",
    "texts",
    "recover",
    "severity",
    "levels",
)
INPUTS = ("monitor", "field", "filters")
FORMULA = ("kind", "formula", "numbers")


def seconds(*choices: float) -> st.SearchStrategy[int]:
    """A duration in nanoseconds."""
    return st.sampled_from([round(choice * SECOND) for choice in choices])


@st.composite
def formulas(draw: st.DrawFn, kind: ConditionKind) -> dict[str, Any]:
    """Half of the rules have a formula."""
    if kind is not ConditionKind.FORMULA and (kind is ConditionKind.ABSENCE or draw(st.booleans())):
        return {}
    formula, numbers = draw(conditions() if kind is ConditionKind.FORMULA else expressions())
    return {"formula": formula, "numbers": numbers, "group_by": draw(st.sampled_from([(), (), ("core",)]))}


@st.composite
def rules(draw: st.DrawFn) -> RuleSpec:
    """Any rule on the known series."""
    of_numbers = rules_of_numbers(list(ConditionKind))
    spec = draw(of_numbers | of_numbers | leveled_rules())
    return draw(rules_of_text(spec)) if draw(st.integers(0, 4)) == 0 else spec


@st.composite
def rules_of_text(draw: st.DrawFn, spec: RuleSpec) -> RuleSpec:
    """The rule as one that compares texts, when and as the other compares numbers."""
    text, ends = draw(st.sampled_from(TEXTS)), draw(st.sampled_from([None, None, *TEXTS]))
    return replace(
        spec,
        kind=ConditionKind.THRESHOLD,
        formula=None,
        numbers=(),
        field=draw(st.sampled_from(["status", "host.status"])),
        filters=(),
        function=Function.VALUE,
        aggregation=draw(st.sampled_from([Aggregation.LATEST, Aggregation.FIRST])),
        operator=draw(st.sampled_from([Operator.EQUAL, Operator.NOT_EQUAL])),
        low=code_of(text),
        tolerance=0.0,
        of_text=True,
        texts=(text,) if ends is None else (text, ends),
        recover=None if ends is None else bounds(Operator.EQUAL, code_of(ends)),
        levels=(),
    )


@st.composite
def leveled_rules(draw: st.DrawFn) -> RuleSpec:
    """Rules with levels, most of them on the newest value, some on what a formula computes."""
    spec = draw(rules_of_numbers((ConditionKind.THRESHOLD, ConditionKind.THRESHOLD, ConditionKind.RANGE)))
    if draw(st.integers(0, 2)):
        spec = replace(spec, formula=None, numbers=(), group_by=())
        spec = replace(
            spec, function=Function.VALUE, aggregation=Aggregation.LATEST, window=40 * SECOND, offset=0, filters=()
        )
    own, *others = draw(st.permutations(list(Severity)))[: draw(st.integers(2, 4))]
    further = [
        Level(one, draw(st.sampled_from(LEVELS)), draw(st.sampled_from(RECOVERIES + RECOVERIES[3:]))) for one in others
    ]
    return replace(spec, occurrence=None, severity=own, levels=tuple(further))


@st.composite
def rules_of_numbers(draw: st.DrawFn, kinds: Sequence[ConditionKind]) -> RuleSpec:
    """Any rule of some kinds that compares numbers, counts points, or waits for some; without levels."""
    kind = draw(st.sampled_from(kinds))
    any_field = kind is ConditionKind.ABSENCE and draw(st.booleans())
    low = draw(st.sampled_from([0.0, 1.0, 5.0]))
    return RuleSpec(
        "t", "rule_1",
        monitor=draw(st.sampled_from(["m", "n", "*", "m*"])),
        kind=kind,
        field="" if any_field else draw(st.sampled_from(["cpu", "cpu", "host.load", "status"])),
        filters=draw(st.sampled_from([(), (), *FILTERS])),
        function=draw(st.sampled_from([Function.VALUE, Function.VALUE, Function.VALUE, *Function])),
        aggregation=draw(st.sampled_from(Aggregation)),
        window=draw(seconds(0, 3, 10, 40)),
        offset=draw(seconds(0, 0, 0, 4, 20)),
        quantile=draw(st.sampled_from([0.1, 0.5, 0.99])),
        ahead=draw(seconds(0, 5, 60)),
        since=draw(seconds(1, 5, 30)),
        occurrence=draw(st.sampled_from(OCCURRENCES)),
        operator=draw(st.sampled_from(Operator)),
        low=low,
        high=low + draw(st.sampled_from([0.0, 4.5])),
        outside=draw(st.booleans()),
        tolerance=draw(st.sampled_from([0.0, 0.5])),
        recover=draw(st.sampled_from(RECOVERIES)) if kind < ConditionKind.ABSENCE else None,
        absent_for=draw(seconds(1, 7, 30)),
        for_duration=draw(seconds(0, 0, 4, 10, 25)),
        keep_firing_for=draw(seconds(0, 0, 5, 20)),
        interval=draw(seconds(2, 4, 10, 30)),
        no_data=draw(st.sampled_from([MissingPolicy.KEEP, MissingPolicy.OK, MissingPolicy.ALERT])),
        missing_series=draw(st.sampled_from(MissingPolicy)),
        every_point=draw(st.integers(0, 4)) > 0,
        **draw(formulas(kind)),
    )  # fmt: skip


def points(times: st.SearchStrategy[float]) -> st.SearchStrategy[tuple[int, float, float]]:
    """A point of a known series, whose value is what the series can have."""

    def with_value(index: int) -> st.SearchStrategy[tuple[int, float, float]]:
        return st.tuples(st.just(index), times, CODES if KNOWN[index].type is FieldType.STRING else VALUES)

    return st.sampled_from(range(len(KNOWN))).flatmap(with_value)


@st.composite
def arrivals(draw: st.DrawFn, oldest: float) -> Arrive:
    """Points that come together: some in time, some late, some of the future, some twice."""
    after = draw(st.sampled_from([0.0, 0.5, 1.0, 1.0, 5.0, 12.0, 40.0]))
    in_time = [0.0, after / 4, after / 2, after * 0.75]
    others = [0.25, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 3600.0, 3601.0, -1.0, -7.0]
    ages = st.sampled_from(in_time * 2 + [one for one in others if one <= oldest])
    return Arrive(after, tuple(draw(st.lists(points(ages), min_size=draw(st.sampled_from([2, 1, 0])), max_size=8))))


@st.composite
def fresh_arrivals(draw: st.DrawFn) -> Arrive:
    """Points of which none comes late."""
    after = draw(st.sampled_from([0.5, 1.0, 4.0, 12.0, 30.0]))
    ages = st.sampled_from([0.0, after / 4, after / 2, after * 0.75, -1.0])
    return Arrive(after, tuple(draw(st.lists(points(ages), max_size=6))))


def puts() -> st.SearchStrategy[Put]:
    """New rules and edits, of the kinds that keep the state and of those that may not."""
    edits = [HARMLESS, THRESHOLD, INPUTS, FORMULA, ("for_duration",), ("filters",), ("severity", "levels"), ()]
    changed = st.sampled_from(edits)
    named = st.builds(lambda spec, rule_id: replace(spec, rule_id=rule_id), rules(), st.sampled_from(RULE_IDS))
    return st.builds(Put, named, changed, st.sampled_from([0.0, 0.0, 0.3]))


CLOSE: st.SearchStrategy[Event] = st.builds(Close, st.sampled_from(RULE_IDS))
KNOWN_COUNTS = st.sampled_from([len(KNOWN), len(KNOWN), 3, 1, 0])
"""How many series are known from the start."""
AWAY = st.sampled_from([0.0, 0.5, 5.0, 31.0, 200.0, 3599.0, 3601.0])
EDITS: Sequence[st.SearchStrategy[Event]] = (
    puts(),
    puts(),
    st.builds(Remove, st.sampled_from(RULE_IDS), st.booleans()),
    st.builds(Appear),
)
RESTARTS: Sequence[st.SearchStrategy[Event]] = (
    st.builds(Restart, AWAY, st.none() | puts()),
    st.builds(Restart, AWAY),
    CLOSE,
    st.builds(Move, st.sampled_from(["m", "n"])),
)
CLOCKS: Sequence[st.SearchStrategy[Event]] = (
    st.builds(Stand, AWAY),
    st.builds(SetBack, st.sampled_from([0.5, 3.0, 9.0])),
)


@st.composite
def beginnings(draw: st.DrawFn) -> list[Event]:
    """What is there before anything happens: two or three rules."""
    specs = draw(st.lists(rules(), min_size=2, max_size=3))
    return [Put(replace(spec, rule_id=rule_id)) for spec, rule_id in zip(specs, RULE_IDS, strict=False)]


def lives(*others: st.SearchStrategy[Event], oldest: float = 30.0, longest: int = 8) -> st.SearchStrategy[list[Event]]:
    """Points, and between them events of other kinds."""
    between = st.lists(st.one_of(*others), max_size=2) if others else st.just([])
    moments = st.tuples(arrivals(oldest), between).map(lambda both: [both[0], *both[1]])
    length = st.integers(3, longest).flatmap(lambda count: st.lists(moments, min_size=count, max_size=count))
    return st.tuples(beginnings(), length).map(lambda both: [*both[0], *(one for moment in both[1] for one in moment)])


@st.composite
def crashes(draw: st.DrawFn) -> list[Event]:
    """Lives in which the process dies some time after its state was saved, with nothing but points in between."""
    parts: list[Event] = draw(beginnings())
    for _ in range(draw(st.integers(1, 3))):
        parts += draw(st.lists(arrivals(30.0), min_size=1, max_size=3))
        parts.append(Save())
        parts += draw(st.lists(st.one_of(fresh_arrivals(), fresh_arrivals(), CLOSE), min_size=1, max_size=5))
        parts.append(Crash(draw(AWAY)))
    return parts + draw(st.lists(arrivals(30.0), min_size=1, max_size=3))
