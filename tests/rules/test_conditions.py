"""The condition's text: many spellings, one canonical form, errors that name the place and the fix."""

import contextlib
import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.errors import InvalidCondition
from monitors.mesh.quantities import format_duration, format_number
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from monitors.rules.conditions.canonical import RESERVED, condition_in_words, condition_text
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.model.condition import (
    Absence,
    Age,
    Aggregation,
    Change,
    Comparison,
    Condition,
    Expression,
    Forecast,
    Input,
    Occurrence,
    Operator,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Test,
    Threshold,
)
from monitors.rules.model.condition_checks import check_condition
from monitors.rules.model.quantities import parse_duration
from monitors.rules.model.rule import with_for_clause
from monitors.rules.translate.conditions import condition_from_proto, condition_to_proto


def canonical(text: str) -> str:
    stated = parse_condition(text, "rule.condition_text")
    return with_for_clause(condition_text(stated.condition), stated.for_duration or 0)


def problem(text: str) -> str:
    try:
        stated = parse_condition(text, "rule.condition_text")
    except InvalidCondition as error:
        return error.message
    return check_condition(stated.condition, "rule.condition_text")[0].message


CANONICAL = [
    "avg(response_time, 5m) > 500 for 2m",
    "is_up == 0",
    "no data for 15m",
    "no data on cpu_percent for 15m",
    "avg(latency, 10m) outside 20..400",
    "latency inside -5..0.5 for 1h30m",
    "price == 5 within 0.001",
    "price != 5",
    "mem.used_percent > 90",
    'cpu{cpu="0", host!="a b"} >= 90',
    'avg("used-percent", 1m) <= 3',
    "latest(cpu, 10m) < 1e-07",
    "count(errors, 1d) > 0",
    'no data on cpu{cpu="0"} for 1m30s for 2m',
    "p95(latency, 10m) > 400",
    "p99.9(latency, 10m) outside 20..400",
    "median(latency, 1h) > 5",
    "first(x, 5m) == 1",
    "stddev(x, 5m) > 1",
    "spread(temperature, 1d) > 10",
    "rate(requests, 5m) < 0.5",
    "increase(errors, 1h) > 100",
    "delta(level, 1h) < -3",
    "deriv(disk_used, 1h) > 1000",
    "changes(state, 1h) > 4",
    "resets(uptime, 1d) >= 1",
    "avg(cpu, 5m) offset 1d > 90",
    "cpu offset 1h > 90 for 2m",
    "change(price, 1h) < -5%",
    "change(avg(price, 5m) offset 1m, 1h) outside -5%..5.5%",
    "change(level, 1d) > 3",
    "age(last_backup) > 1d12h",
    "age(last_backup) inside 0..1h",
    "forecast(disk_used, 6h, 4h) > 95",
    "avg(cpu, 5m) > 90 recover < 75",
    "cpu outside 20..80 recover inside 30..70 for 5m",
    "change(price, 1h) < -5% recover > -1%",
    '"rate" > 5',
    "age > 5",
    "cpu > 90 in 3 of the last 5 points",
    "cpu > 90 in all of the last 5 points recover < 70 for 2m",
    "cpu > 90 in all points of 10m",
    "latest(cpu, 10m) offset 1h > 90 in 3 of the last 5 points",
    "cpu > 90 in at least 3 points of 10m",
    'cpu{host=~"web-[0-9]+", zone!~"eu|us"} > 90',
    "change > 5",
    "p95 > 5",
]


@pytest.mark.parametrize("text", CANONICAL)
def test_canonical_text_stays_as_it_is(text: str) -> None:
    assert canonical(text) == text


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("cpu greater than 90", "cpu > 90"),
        ("cpu is above 90", "cpu > 90"),
        ("CPU IS ABOVE 90", "CPU > 90"),
        ("cpu over 90", "cpu > 90"),
        ("cpu exceeds 90", "cpu > 90"),
        ("cpu ≥ 90", "cpu >= 90"),
        ("cpu => 90", "cpu >= 90"),
        ("cpu at least 90", "cpu >= 90"),
        ("cpu is greater than or equal to 90", "cpu >= 90"),
        ("cpu is not below 90", "cpu >= 90"),
        ("cpu below 90", "cpu < 90"),
        ("cpu drops under 90", "cpu < 90"),
        ("cpu less than 90", "cpu < 90"),
        ("cpu ≤ 90", "cpu <= 90"),
        ("cpu at most 90", "cpu <= 90"),
        ("is_up equals 0", "is_up == 0"),
        ("is_up is 0", "is_up == 0"),
        ("is_up = false", "is_up == 0"),
        ("is_up == true", "is_up == 1"),
        ("is_up is not 1", "is_up != 1"),
        ("is_up <> 1", "is_up != 1"),
        ("alert me when cpu > 90", "cpu > 90"),
        ("if cpu > 90", "cpu > 90"),
        ("average response_time over 5m > 500", "avg(response_time, 5m) > 500"),
        ("the mean of response_time over the last 5 minutes is above 500", "avg(response_time, 5m) > 500"),
        ("avg(response_time, 300) > 500", "avg(response_time, 5m) > 500"),
        ("avg(response_time) > 500", "avg(response_time, 5m) > 500"),
        ("average cpu over 90", "avg(cpu, 5m) > 90"),
        ("maximum cpu over 1 hour 30 minutes >= 5", "max(cpu, 1h30m) >= 5"),
        ("min(cpu, 2 min) < 5", "min(cpu, 2m) < 5"),
        ("total bytes over 1h exceeds 1e9", "sum(bytes, 1h) > 1000000000"),
        ("number of errors over 10m > 5", "count(errors, 10m) > 5"),
        ("response_time stays above 500 for 2 minutes", "response_time > 500 for 2m"),
        ("cpu > 90 for at least 90", "cpu > 90 for 1m30s"),
        ("cpu > 90 during 1.5h", "cpu > 90 for 1h30m"),
        ("cpu > 90 for 0s", "cpu > 90"),
        ("latency between 20 and 400", "latency inside 20..400"),
        ("latency is not between 20 and 400", "latency outside 20..400"),
        ("latency outside of 20 to 400", "latency outside 20..400"),
        ("latency inside -10..-5", "latency inside -10..-5"),
        ("price = 5 ± 0.1", "price == 5 within 0.1"),
        ("no data in the last 15 minutes", "no data for 15m"),
        ("no points for 15m for 2m", "no data for 15m for 2m"),
        ("no data from cpu since 15m", "no data on cpu for 15m"),
        ("cpu is missing for 15m", "no data on cpu for 15m"),
        ("cpu{cpu=0} > 1", 'cpu{cpu="0"} > 1'),
        ("cpu{cpu='it\\'s'} > 1", 'cpu{cpu="it\'s"} > 1'),
        ("count > 5", '"count" > 5'),
        ("max.used > 5", "max.used > 5"),
        ("température > 30", "température > 30"),
        ("cpu > −5", "cpu > -5"),
        ("cpu > .5", "cpu > 0.5"),
        ("cpu > -0", "cpu > 0"),
        ("  cpu\n>\t90  ", "cpu > 90"),
        ("quantile(0.95, latency, 10m) > 4", "p95(latency, 10m) > 4"),
        ("the 95th percentile of latency over 10 minutes is above 400", "p95(latency, 10m) > 400"),
        ("p99 of latency over 1h > 4", "p99(latency, 1h) > 4"),
        ("the standard deviation of x over 10m exceeds 3", "stddev(x, 10m) > 3"),
        ("rate of errors over 5m > 1", "rate(errors, 5m) > 1"),
        ("derivative(x, 5m) > 1", "deriv(x, 5m) > 1"),
        ("price drops by more than 5% in 1h", "change(price, 1h) < -5%"),
        ("price falls 5 percent within the last 2 hours", "change(price, 2h) < -5%"),
        ("price rises by at least 100 over 30m", "change(price, 30m) >= 100"),
        ("price changes by 5% in 1 day", "change(price, 1d) outside -5%..5%"),
        ("price rises over 90", "price > 90"),
        ("cpu > 90 for 3 of the last 5 checks", "cpu > 90 in 3 of the last 5 points"),
        ("cpu above 90 in at least 3 out of 5 points", "cpu > 90 in 3 of the last 5 points"),
        ("cpu > 90 3 of 5", "cpu > 90 in 3 of the last 5 points"),
        ("cpu > 90 in every sample of the last 5 minutes", "cpu > 90 in all points of 5m"),
        ("cpu > 90 in 4 points within 10m", "cpu > 90 in at least 4 points of 10m"),
        ("price drops below 5", "price < 5"),
        ("cpu > 90 until < 75", "cpu > 90 recover < 75"),
        ("cpu above 90 for 5m recovers when below 75", "cpu > 90 recover < 75 for 5m"),
        ("age(last_backup) > 90000", "age(last_backup) > 1d1h"),
        ("age(last_backup) > 0.5", "age(last_backup) > 500ms"),
    ],
)
def test_many_spellings_mean_the_same(spelling: str, expected: str) -> None:
    assert canonical(spelling) == expected


def test_what_people_say_is_understood() -> None:
    lines = (Path(__file__).parent / "spellings.tsv").read_text().splitlines()
    spoken = [tuple(line.split("\t")) for line in lines if line and not line.startswith("#")]
    wrong = {}
    for text, expected in spoken:
        try:
            found = canonical(text)
        except InvalidCondition as error:
            found = error.message
            assert "Write for example" in found or "say" in found
        if found != expected:
            wrong[text] = found
    assert len(spoken) >= 120
    assert len(wrong) <= 0.05 * len(spoken), wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '{"type":"threshold","field":"price","operator":">","value":60000,"aggregation":"latest"}',
            "price > 60000",
        ),
        ('{"field":"price","operator":"==","value":5}', "price == 5 within 0.001"),
        ('{"field":"price","operator":"!=","value":"5","aggregation":"avg"}', "avg(price, 5m) != 5 within 0.001"),
        (
            '{"field":"a","operator":"<","value":1,"aggregation":"max","window":"10m","for":120}',
            "max(a, 10m) < 1 for 2m",
        ),
        ('{"type":"range","field":"a","min":1,"max":2,"outside":true}', "a outside 1..2"),
        ('{"field":"a","operator":">","value":1,"aggregation":"p99.9"}', "p99.9(a, 5m) > 1"),
        ('{"field":"a","operator":">","value":1,"aggregation":"rate","window":60}', "rate(a, 1m) > 1"),
        ('{"type":"absence","duration":900}', "no data for 15m"),
        ('{"type":"absence","field":"a","duration":"15m","tags":{"cpu":"0"}}', 'no data on a{cpu="0"} for 15m'),
    ],
)
def test_the_first_products_json_is_understood(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "place", "hint"),
    [
        ("cpu >", "at the end", "expected a number"),
        ("cpu", "at the end", "expected a comparison"),
        ("cpu > > 5", "(character 7)", "expected a number"),
        ("avg(cpu 5m) > 9", "(character 9)", "expected a comma or `)`"),
        ("holtwinters(latency, 10m) > 5", "'holtwinters'", "there are latest, first, avg, min, max, sum, count"),
        ("quantile(1.5, latency, 10m) > 5", "1.5", "`p95(latency, 5m)` for 0.95"),
        ("change(price, 1h) outside -5..5%", "one bound", "`-5%..5%`"),
        ("change(price, 0s) > 5", "0s", "change(price, 1h)"),
        ("age(max(x, 5m)) > 1d", "newest value", "`age(x)`"),
        ("age(last_backup) > 5%", "'%'", "leave `%` out"),
        ("change(price, 1h) > 5m", "'m'", "a duration goes with an age"),
        ("forecast(disk, 6h, 40d) > 95", "40d", "say 1ns to 31d"),
        ("cpu offset 40d > 5", "40d", "at most 31d"),
        ("cpu > 90 in 6 of the last 5 points", "6 of 5", "can never be"),
        ("cpu > 90 in 0 of the last 5 points", "0 points", "3 of the last 5"),
        ("cpu inside 1..5 in 2 of the last 5 points", "not by a range", "3 of the last 5"),
        ("avg(cpu, 5m) > 90 in 3 of the last 5 points", "one by one", "cpu > 90 in 3 of"),
        ("avg(cpu, 5m) > 90 in all points of 5m", "as well", "all points of 5m"),
        ("cpu > 90 in 3 of the last 20000 points", "10,000", "3 of the last 5"),
        ("averge(latency, 10m) > 5", "'averge'", "did you mean avg?"),
        ("cpu > 90 and load > 5", "'and'", "make one rule for each"),
        ("no data for 5m recover < 75", "silence", "leave it out"),
        ("cpu > 90 recover < 75 recover < 70", "2 times", "say it once"),
        ("cpu > 90 for 5m recover < 75 for 5m", "2 times", "say it once"),
        ("change(price, 1h) > 5 recover < 1%", "another unit", "the same one"),
        ("avg(cpu, 5m) > 90 recover", "at the end", "a comparison"),
        ('cpu{host=~"a(b"} > 5', "'a(b'", "RE2's syntax"),
        ('cpu{host=~"(?<=a)b"} > 5', "isn't a regular expression", "web-[0-9]+"),
        ('cpu{host!~"(x{900}){900}"} > 5', "isn't a regular expression", "web-[0-9]+"),
        ("sum by (host) (cpu) > 5", "(character", "each series is an instance of its own"),
        ("cpu > 90%", "'%'", "leave `%` out"),
        ("cpu stays above 80 percent for ten seconds", "'percent'", "leave `percent` out"),
        ("response_time > 500ms", "'ms'", "leave 'ms' out"),
        ("cpu-usage > 5", "'-'", '"a-b"'),
        ('status == "down"', "down", "text can't be compared yet"),
        ("cpu > 90 for ever", "'ever'", "a duration such as `5m`"),
        ("x outside 5", "at the end", "two bounds as `20..400`"),
        ("cpu > nan", "'nan'", "a number"),
        ("cpu > 1e999", "inf", "finite"),
        ("no data for 100d", "100d", "1s to 31d"),
        ("x inside 5..1", "5", "`1..5`"),
        ("avg(cpu, 40d) > 1", "40d", "31d"),
        ("cpu > 5 within 1", "tolerance", "leave it out"),
        ("", "empty", "avg(cpu_percent, 5m) > 90"),
        ("{", "character", "isn't valid JSON"),
        ('{"field":"x","operator":"~","value":1}', "'operator'", "one of >"),
        ('{"field":"x","operator":">","value":null}', "'value' is missing", "a number"),
        ('{"field":"x","operator":">","value":1,"thresh":2}', "'thresh'", "isn't a key"),
        ('{"field":"\\ud800","operator":">","value":1}', "JSON", "write for example"),
        ('{"type":"absence","duration":true}', "'duration'", "a duration"),
    ],
)
def test_an_error_names_the_place_and_the_fix(text: str, place: str, hint: str) -> None:
    message = problem(text)
    assert message.startswith("rule.condition_text: ")
    assert place in message
    assert hint in message


def test_a_corrected_example_uses_the_name_that_was_written() -> None:
    assert problem("response_time >").endswith("Write for example `response_time > 500`")


def test_every_corrected_example_can_be_read() -> None:
    for text in ("cpu >", "avg(cpu 5m) > 9", "x outside 5", "no data", "cpu{", "((", "sum by (host) (cpu) > 5"):
        example = problem(text).rpartition("Write for example `")[2].removesuffix("`")
        assert canonical(example) == example


@pytest.mark.parametrize(
    "bomb",
    [
        "(" * 4096,
        "avg(" * 1000,
        "{" * 4096,
        '{"a":' * 800,
        "[" * 4096,
        "not " * 1000,
        "1" * 4096,
        "cpu > " + "9" * 4000,
        '"' * 4095,
        "cpu{" + 'a="b",' * 600,
        "no data for " + "1h" * 2000,
        "cpu > 5 for " + "9" * 4000,
        "a." * 2048,
        "is " * 1300,
        " " * 4096,
    ],
)
def test_a_bomb_is_refused_at_once(bomb: str) -> None:
    begin = time.process_time()
    with pytest.raises(InvalidCondition) as raised:
        raise check_condition(parse_condition(bomb, "rule.condition_text").condition, "x")[0]
    assert len(raised.value.message) < 1000
    assert time.process_time() - begin < 1


def test_a_text_that_is_too_long_is_not_even_read() -> None:
    assert "at most 4,096" in problem("x" * 4097)


words = st.sampled_from(sorted(RESERVED))
names = st.one_of(
    st.from_regex(r"[a-z_][a-z0-9_]{0,8}(\.[a-z0-9_]{1,5})?", fullmatch=True),
    words,
    st.text(min_size=1, max_size=12, alphabet=st.characters(exclude_categories=["Cs"])),
)
numbers = st.one_of(st.integers(-(10**6), 10**6).map(float), st.floats(allow_nan=False, allow_infinity=False)).map(
    lambda value: value + 0.0
)
durations = st.one_of(
    st.integers(1, 31 * DAY), st.integers(1, 720).map(lambda n: n * HOUR), st.integers(1, 99).map(lambda n: n * MINUTE)
).filter(lambda nanos: SECOND <= nanos <= 31 * DAY)
plain = st.sampled_from([TagOperator.EQUAL, TagOperator.NOT_EQUAL])
patterns = st.sampled_from([TagOperator.MATCH, TagOperator.NOT_MATCH])
filters = st.lists(
    st.builds(TagFilter, names, plain, st.text(max_size=9))
    | st.builds(TagFilter, names, patterns, st.sampled_from(["", "a.*", 'x"y', r"\d+\\", "[^\n]|é"])),
    max_size=3,
)
targets = st.builds(lambda name, tags: Target(name, "", tuple(tags)), names, filters)
offsets = st.one_of(st.just(0), st.just(0), durations)
inputs = st.one_of(
    st.builds(Input, targets, st.sampled_from(Aggregation).filter(lambda one: one != "quantile"), durations, offsets),
    st.builds(
        Input, targets, st.just(Aggregation.QUANTILE), durations, offsets,
        st.floats(0, 1, exclude_min=True, exclude_max=True, allow_subnormal=False),
    ),
)  # fmt: skip
latest = st.builds(Input, targets, st.just(Aggregation.LATEST), durations, offsets)
expressions: st.SearchStrategy[Expression] = st.one_of(
    inputs,
    inputs,
    st.builds(Change, inputs, durations, st.booleans()),
    st.builds(Age, latest),
    st.builds(Forecast, targets, durations, durations),
)


def _threshold(operator: Operator, value: float, tolerance: float) -> Threshold:
    equality = operator in (Operator.EQUAL, Operator.NOT_EQUAL)
    return Threshold(operator, value, abs(tolerance) if equality else 0.0)


tests: st.SearchStrategy[Test] = st.one_of(
    st.builds(_threshold, st.sampled_from(Operator), numbers, numbers),
    st.builds(lambda a, b, out: Range(min(a, b), max(a, b), out), numbers, numbers, st.booleans()),
)
conditions: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Comparison, expressions, tests, st.one_of(st.none(), tests)),
    st.builds(
        lambda left, test, at_least, more: Comparison(left, test, None, Occurrence(at_least, more and at_least + more)),
        latest,
        tests.filter(lambda test: isinstance(test, Threshold)),
        st.integers(0, 50),
        st.integers(0, 50),
    ),
    st.builds(Absence, durations, st.one_of(st.none(), targets)),
)


@given(conditions, st.one_of(st.none(), durations))
def test_canonical_text_reads_back_as_the_same_condition(condition: Condition, for_duration: int | None) -> None:
    assert check_condition(condition, "x") == []
    stated = parse_condition(with_for_clause(condition_text(condition), for_duration or 0), "x")
    assert (stated.condition, stated.for_duration) == (condition, for_duration)


@given(conditions)
def test_the_message_reads_back_as_the_same_condition(condition: Condition) -> None:
    assert condition_from_proto(condition_to_proto(condition)) == condition


@given(conditions)
def test_every_condition_can_be_said_in_words(condition: Condition) -> None:
    assert condition_in_words(condition)


@given(
    st.one_of(
        st.text(max_size=60),
        st.lists(
            st.sampled_from([*sorted(RESERVED), "cpu", ">", "5", "5m", "(", ")", "{", "}", '"', "..", "=", "and", ","]),
            max_size=12,
        ).map(" ".join),
    )
)
def test_no_text_at_all_breaks_the_parser(text: str) -> None:
    try:
        stated = parse_condition(text, "x")
    except InvalidCondition:
        return
    assert parse_condition(condition_text(stated.condition), "x").condition == stated.condition


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=5)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(
                st.sampled_from(
                    [
                        "type",
                        "field",
                        "operator",
                        "value",
                        "aggregation",
                        "window",
                        "tags",
                        "for",
                        "duration",
                        "min",
                        "max",
                        "x",
                    ]
                ),
                inner,
                max_size=8,
            ),
        ),
        max_leaves=12,
    )
)
def test_no_json_at_all_breaks_the_reader(value: object) -> None:
    with contextlib.suppress(InvalidCondition):
        parse_condition("{" + json.dumps(value)[1:], "x")


@given(st.integers(0, 2**62))
def test_a_duration_reads_back_as_itself(nanos: int) -> None:
    assert parse_duration(format_duration(nanos)) == nanos


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_itself(value: float) -> None:
    assert float(format_number(value)) == value
