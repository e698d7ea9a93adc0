"""What holds of any condition, and that nothing that anybody sends breaks what reads it."""

import json
import time

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.quantities import format_duration, format_number
from monitors.rules.conditions.canonical import RESERVED, condition_text
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.conditions.stated import Stated
from monitors.rules.conditions.wording import condition_in_words
from monitors.rules.model.condition import Condition
from monitors.rules.model.condition_checks import check_condition
from monitors.rules.model.quantities import parse_duration
from monitors.rules.model.rule import with_for_clause
from monitors.rules.translate.conditions import condition_from_proto, condition_to_proto
from monitors.v1 import condition_pb2 as pb
from tests.fuzzing import share
from tests.rules.strategies import conditions, durations

LONGEST_SECONDS = 2.0


def read(text: str) -> Stated | None:
    """What a text states; None if it is refused. It is read in bounded time and never anything else happens."""
    begin = time.process_time()
    try:
        stated = parse_condition(text, "x")
        problems = check_condition(stated.condition, "x")
    except InvalidCondition as error:
        problems = [error]
    assert time.process_time() - begin < LONGEST_SECONDS
    assert all(len(problem.message) < 2000 for problem in problems)
    return None if problems else stated


@share(200)
@given(conditions, st.one_of(st.none(), durations))
def test_canonical_text_reads_back_as_the_same_condition(condition: Condition, for_duration: int | None) -> None:
    assert check_condition(condition, "x") == []
    stated = parse_condition(with_for_clause(condition_text(condition), for_duration or 0), "x")
    assert (stated.condition, stated.for_duration) == (condition, for_duration)


@share(100)
@given(conditions)
def test_the_message_reads_back_as_the_same_condition(condition: Condition) -> None:
    message = pb.Condition.FromString(condition_to_proto(condition).SerializeToString())
    assert condition_from_proto(message) == condition


@share(50)
@given(conditions)
def test_every_condition_can_be_said_in_words(condition: Condition) -> None:
    assert condition_in_words(condition)


WORDS = [
    *sorted(RESERVED), "cpu", ">", "5", "5m", "(", ")", "{", "}", '"', "..", "=", "and", ",", "+", "-", "*", "/", "==",
    "avg", "sum by (host)", "(cpu)", "(cpu, 5m)", "in", '"down"', "> 5", "cpu > 5", "not", "on (host)", "recover",
    "expecting", "anomaly(", "no data for", "90%",
]  # fmt: skip
some_text = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(WORDS), max_size=16).map(" ".join))


@share(200)
@given(some_text)
def test_no_text_at_all_breaks_the_parser(text: str) -> None:
    if stated := read(text):
        assert parse_condition(condition_text(stated.condition), "x").condition == stated.condition


@share(200)
@given(conditions, st.data())
def test_no_damaged_text_breaks_the_parser(condition: Condition, data: st.DataObject) -> None:
    text = condition_text(condition)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 8)))
        text = text[:start] + data.draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=3))) + text[end:]
    if stated := read(text):
        assert parse_condition(condition_text(stated.condition), "x").condition == stated.condition


KEYS = [
    "type", "field", "operator", "value", "aggregation", "window", "tags", "for", "duration", "min", "max", "x", "on",
    "conditions", "condition", "past", "season", "offset", "percent", "tolerance", "outside",
]  # fmt: skip
VALUES = [
    "threshold", "range", "absence", "and", "or", "not", "unless", "change", "anomaly", ">", "==", "in", "cpu", "5m",
    "avg", "p95", "daily", 5, 1e999, "5",
]  # fmt: skip
some_json = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5), st.sampled_from(VALUES)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS), inner, max_size=8)),
    max_leaves=20,
)


@share(200)
@given(some_json)
def test_no_json_at_all_breaks_the_reader(value: object) -> None:
    if stated := read("{" + json.dumps(value)[1:]):
        assert parse_condition(condition_text(stated.condition), "x").condition == stated.condition


@st.composite
def objects(draw: st.DrawFn, depth: int = 2) -> dict[str, object]:
    """An object that is nearly right: one that may have a key too few, too many, or with another value."""
    field = {"field": "cpu", "aggregation": draw(st.sampled_from(["avg", "latest", "p99"])), "window": "10m"}
    test: dict[str, object] = {"operator": draw(st.sampled_from([">", "==", "!=", "<="])), "value": 5}
    kinds: list[dict[str, object]] = [
        {"type": "threshold", **field, **test},
        {"field": "status", "operator": "in", "value": ["down", "unknown"]},
        {"field": "status", "operator": "==", "value": "down"},
        {"type": "range", **field, "min": 1, "max": 2, "outside": True},
        {"type": "absence", "duration": "15m"},
        {"type": "change", **field, **test, "offset": "1h", "percent": True},
        {"type": "anomaly", **field, **test, "past": "7d", "season": "daily"},
    ]
    if depth:
        several = draw(st.lists(objects(depth - 1), min_size=1, max_size=3))
        kinds += [{"type": "not", "condition": several[0]}, {"type": "and", "conditions": several, "on": ["host"]}]
        kinds += [{"type": "or", "conditions": several}, {"type": "unless", "conditions": several}]
    made = draw(st.sampled_from(kinds))
    match draw(st.sampled_from(["right", "right", "less", "more", "other"])):
        case "less":
            made.pop(draw(st.sampled_from(sorted(made))))
        case "more":
            made[draw(st.sampled_from(KEYS))] = draw(some_json)
        case "other":
            made[draw(st.sampled_from(sorted(made)))] = draw(some_json)
    return made


@share(200)
@given(objects())
def test_no_damaged_object_breaks_the_reader(value: object) -> None:
    if stated := read(json.dumps(value)):
        assert parse_condition(condition_text(stated.condition), "x").condition == stated.condition


@share(50)
@given(st.integers(0, 2**62))
def test_a_duration_reads_back_as_itself(nanos: int) -> None:
    assert parse_duration(format_duration(nanos)) == nanos


@share(50)
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert float(format_number(value)) == value
