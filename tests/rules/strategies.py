"""Any condition that is valid, of every kind that the contract has."""

from hypothesis import strategies as st

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from monitors.rules.conditions.canonical import RESERVED, condition_text
from monitors.rules.conditions.parse import LONGEST_CONDITION_TEXT
from monitors.rules.model.condition import (
    GROUPINGS,
    Absence,
    Age,
    Aggregation,
    Anomaly,
    Arithmetic,
    ArithmeticOperator,
    Change,
    Comparison,
    Condition,
    Expression,
    Forecast,
    GroupAggregate,
    Input,
    Junction,
    JunctionOperator,
    Negation,
    Number,
    Occurrence,
    Operator,
    Range,
    Season,
    TagFilter,
    TagOperator,
    Target,
    Test,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_checks import recovers_at_once
from monitors.rules.model.condition_parts import has_inputs

texts = st.text(max_size=12, alphabet=st.characters(exclude_categories=["Cs"]))
names = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,8}(\.[a-z0-9_]{1,5})?", fullmatch=True),
    st.sampled_from(sorted(RESERVED)),
    texts.filter(bool),
)
numbers = st.one_of(st.integers(-(10**6), 10**6).map(float), st.floats(allow_nan=False, allow_infinity=False)).map(
    lambda value: value + 0.0
)
durations = st.one_of(
    st.integers(SECOND, 31 * DAY),
    st.integers(1, 720).map(lambda n: n * HOUR),
    st.integers(1, 99).map(lambda n: n * MINUTE),
)
tag_names = st.lists(names, max_size=3, unique=True).map(tuple)
plain = st.sampled_from([TagOperator.EQUAL, TagOperator.NOT_EQUAL])
patterns = st.sampled_from([TagOperator.MATCH, TagOperator.NOT_MATCH])
filters = st.lists(
    st.builds(TagFilter, names, plain, st.text(max_size=9))
    | st.builds(TagFilter, names, patterns, st.sampled_from(["", "a.*", 'x"y', r"\d+\\", "[^\n]|é"])),
    max_size=3,
)
targets = st.builds(lambda name, tags: Target(name, "", tuple(tags)), names, filters)
bare = st.builds(lambda name: Input(Target(name)), names)
offsets = st.one_of(st.just(0), st.just(0), durations)
quantiles = st.floats(0, 1, exclude_min=True, exclude_max=True, allow_subnormal=False)
inputs = st.one_of(
    bare,
    st.builds(Input, targets, st.sampled_from(Aggregation).filter(lambda one: one != "quantile"), durations, offsets),
    st.builds(Input, targets, st.just(Aggregation.QUANTILE), durations, offsets, quantiles),
)
latest = st.builds(Input, targets, st.just(Aggregation.LATEST), durations, offsets)


@st.composite
def anomalies(draw: st.DrawFn) -> Anomaly:
    """An anomaly whose past is long enough."""
    season = draw(st.sampled_from(Season))
    least = {Season.NONE: SECOND, Season.DAILY: 2 * DAY, Season.WEEKLY: 14 * DAY}[season]
    given = draw(inputs.filter(lambda one: one.window < 31 * DAY))
    return Anomaly(given, draw(st.integers(max(least, given.window + 1), 31 * DAY)), season)


@st.composite
def arithmetics(draw: st.DrawFn, inner: st.SearchStrategy[Expression]) -> Arithmetic:
    """Two expressions that may be computed."""
    left, operator, right = draw(inner), draw(st.sampled_from(ArithmeticOperator)), draw(inner)
    if operator is ArithmeticOperator.DIVIDE and right == Number(0.0):
        right = Number(1.0)
    return Arithmetic(left, operator, right, draw(tag_names) if has_inputs(left) and has_inputs(right) else ())


@st.composite
def groups(draw: st.DrawFn, inner: st.SearchStrategy[Expression]) -> GroupAggregate:
    """Many series made one."""
    aggregation, by = draw(st.sampled_from(GROUPINGS)), draw(tag_names)
    return GroupAggregate(
        aggregation,
        draw(inner.filter(has_inputs)),
        by,
        () if by else draw(tag_names),
        draw(quantiles) if aggregation is Aggregation.QUANTILE else 0.0,
    )


leaves: st.SearchStrategy[Expression] = st.one_of(
    inputs,
    inputs,
    st.builds(Change, inputs, durations, st.booleans()),
    st.builds(Age, latest),
    st.builds(Forecast, targets, durations, durations, offsets),
    anomalies(),
)
expressions: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(leaves, leaves, st.builds(Number, numbers)),
    lambda inner: st.one_of(arithmetics(inner), groups(inner)),
    max_leaves=6,
)
ranges = st.builds(lambda a, b, out: Range(min(a, b), max(a, b), out), numbers, numbers, st.booleans())


@st.composite
def thresholds(draw: st.DrawFn, right: st.SearchStrategy[Expression]) -> Threshold:
    """Against a number or an expression."""
    operator = draw(st.sampled_from([each for each in Operator if each is not Operator.IN]))
    tolerance = abs(draw(numbers)) if operator in (Operator.EQUAL, Operator.NOT_EQUAL) else 0.0
    return Threshold(operator, draw(right), tolerance)


constants = st.builds(Number, numbers)
tests: st.SearchStrategy[Test] = st.one_of(thresholds(constants), thresholds(expressions), ranges)
text_tests = st.one_of(
    st.builds(lambda operator, text: TextTest(operator, (text,)), st.sampled_from(["==", "!="]).map(Operator), texts),
    st.builds(lambda many: TextTest(Operator.IN, tuple(many)), st.lists(texts, min_size=1, max_size=4)),
)
occurrences = st.builds(
    lambda at_least, more: Occurrence(at_least, more and at_least + more), st.integers(0, 50), st.integers(0, 50)
)


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    """A value that is put to a test."""
    match draw(st.sampled_from(["number", "number", "text", "counted"])):
        case "text":
            first = st.builds(Input, targets, st.just(Aggregation.FIRST), durations, offsets)
            return Comparison(draw(latest | first), draw(text_tests), draw(st.none() | text_tests))
        case "counted":
            counted: Test = draw(st.one_of(thresholds(constants), text_tests))
            return Comparison(draw(latest), counted, None, draw(occurrences))
    left, test = draw(expressions), draw(tests)
    if has_inputs(left):
        recover = draw(st.none() | tests)
        return Comparison(left, test, None if recover and recovers_at_once(test, recover) else recover)
    right = draw(expressions.filter(has_inputs))
    return Comparison(left, draw(thresholds(st.just(right))))


tag_sets = st.dictionaries(names, texts, max_size=2).map(lambda tags: tuple(sorted(tags.items())))
absences = st.builds(Absence, durations, st.none() | targets, st.lists(tag_sets, max_size=3, unique=True).map(tuple))


@st.composite
def junctions(draw: st.DrawFn, inner: st.SearchStrategy[Condition]) -> Junction:
    """Conditions that are joined."""
    operator = draw(st.sampled_from(JunctionOperator))
    most = 2 if operator is JunctionOperator.UNLESS else 3
    return Junction(operator, tuple(draw(st.lists(inner, min_size=2, max_size=most))), draw(tag_names))


parts: st.SearchStrategy[Condition] = st.recursive(
    comparisons().map(lambda one: Comparison(one.left, one.test, None, one.occurrence)) | absences,
    lambda inner: st.one_of(st.builds(Negation, inner), junctions(inner)),
    max_leaves=4,
)
conditions: st.SearchStrategy[Condition] = st.one_of(comparisons(), comparisons(), absences, parts).filter(
    lambda one: len(condition_text(one)) < LONGEST_CONDITION_TEXT - 100
)
