"""Random rules, points and events for the comparison of engine and oracle."""

import math
import os
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from monitors.evaluator.model.spec import (
    Aggregation,
    Bounds,
    ConditionKind,
    Function,
    Level,
    MissingPolicy,
    Occurrence,
    Operator,
    RuleSpec,
    Severity,
    TagFilter,
    bounds,
)
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
from tests.evaluator.engine.scene import SECOND, series

ORDINARY = 2000
"""How many examples of sequences all tests together try, unless MONITORS_FUZZ_EXAMPLES says otherwise."""

KNOWN = [
    series(0, core="0"),
    series(1, core="1"),
    series(2, monitor="n", core="0"),
    series(3, field="load"),
    series(4, monitor="n", core="1"),
]
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
    "recover",
    "severity",
    "levels",
)
INPUTS = ("monitor", "field", "filters")


def share(examples: int) -> settings:
    """Settings for a test that tries so many of the ORDINARY examples, or as many of those that were asked for."""
    asked = int(os.environ.get("MONITORS_FUZZ_EXAMPLES", ORDINARY))
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=max(1, asked * examples // ORDINARY), deadline=None, print_blob=True, suppress_health_check=slow
    )


def seconds(*choices: float) -> st.SearchStrategy[int]:
    """A duration in nanoseconds."""
    return st.sampled_from([round(choice * SECOND) for choice in choices])


@st.composite
def rules(draw: st.DrawFn) -> RuleSpec:
    """Any rule on the known series."""
    return draw(rules_of(list(ConditionKind)) | rules_of(list(ConditionKind)) | leveled_rules())


@st.composite
def leveled_rules(draw: st.DrawFn) -> RuleSpec:
    """Rules with levels, most of them on the newest value."""
    spec = draw(rules_of((ConditionKind.THRESHOLD, ConditionKind.THRESHOLD, ConditionKind.RANGE)))
    if draw(st.integers(0, 3)):
        spec = replace(
            spec, function=Function.VALUE, aggregation=Aggregation.LATEST, window=40 * SECOND, offset=0, filters=()
        )
    own, *others = draw(st.permutations(list(Severity)))[: draw(st.integers(2, 4))]
    further = [
        Level(one, draw(st.sampled_from(LEVELS)), draw(st.sampled_from(RECOVERIES + RECOVERIES[3:]))) for one in others
    ]
    return replace(spec, occurrence=None, severity=own, levels=tuple(further))


@st.composite
def rules_of(draw: st.DrawFn, kinds: Sequence[ConditionKind]) -> RuleSpec:
    """Any rule of some kinds without levels."""
    kind = draw(st.sampled_from(kinds))
    any_field = kind is ConditionKind.ABSENCE and draw(st.booleans())
    low = draw(st.sampled_from([0.0, 1.0, 5.0]))
    return RuleSpec(
        "t", "rule_1",
        monitor=draw(st.sampled_from(["m", "n", "*", "m*"])),
        kind=kind,
        field="" if any_field else draw(st.sampled_from(["cpu", "cpu", "host.load"])),
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
        recover=None if kind is ConditionKind.ABSENCE else draw(st.sampled_from(RECOVERIES)),
        absent_for=draw(seconds(1, 7, 30)),
        for_duration=draw(seconds(0, 0, 4, 10, 25)),
        keep_firing_for=draw(seconds(0, 0, 5, 20)),
        interval=draw(seconds(2, 4, 10, 30)),
        no_data=draw(st.sampled_from([MissingPolicy.KEEP, MissingPolicy.OK, MissingPolicy.ALERT])),
        missing_series=draw(st.sampled_from(MissingPolicy)),
        every_point=draw(st.integers(0, 4)) > 0,
    )  # fmt: skip


@st.composite
def arrivals(draw: st.DrawFn, oldest: float) -> Arrive:
    """Points that come together: some in time, some late, some of the future, some twice."""
    after = draw(st.sampled_from([0.0, 0.5, 1.0, 1.0, 5.0, 12.0, 40.0]))
    in_time = [0.0, after / 4, after / 2, after * 0.75]
    others = [0.25, 1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 3600.0, 3601.0, -1.0, -7.0]
    ages = st.sampled_from(in_time * 2 + [one for one in others if one <= oldest])
    point = st.tuples(st.integers(0, len(KNOWN) - 1), ages, VALUES)
    return Arrive(after, tuple(draw(st.lists(point, min_size=draw(st.sampled_from([2, 1, 0])), max_size=8))))


@st.composite
def fresh_arrivals(draw: st.DrawFn) -> Arrive:
    """Points of which none comes late."""
    after = draw(st.sampled_from([0.5, 1.0, 4.0, 12.0, 30.0]))
    ages = st.sampled_from([0.0, after / 4, after / 2, after * 0.75, -1.0])
    point = st.tuples(st.integers(0, len(KNOWN) - 1), ages, VALUES)
    return Arrive(after, tuple(draw(st.lists(point, max_size=6))))


def puts() -> st.SearchStrategy[Put]:
    """New rules and edits, of the kinds that keep the state and of those that may not."""
    edits = [HARMLESS, THRESHOLD, INPUTS, ("for_duration",), ("filters",), ("severity", "levels"), ()]
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
