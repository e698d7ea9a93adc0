"""Every kind of condition, made, kept and given back by a real RuleService."""

from typing import Any

import grpc
import pytest

from monitors.v1 import condition_pb2 as pb
from monitors.v1 import rule_pb2, rule_service_pb2
from tests.rules.client import STRING, Client, refused
from tests.rules.running import Running

FIELDS = [("net", "errors", "FIELD_TYPE_INTEGER"), ("net", "requests", "FIELD_TYPE_INTEGER"), ("sys", "status", STRING)]


def creation(text: str, **fields: Any) -> rule_service_pb2.CreateRuleRequest:
    given = {"monitor_id": "web", "title": "X", "condition_text": text} | fields
    return rule_service_pb2.CreateRuleRequest(rule=rule_pb2.Rule(**given))


@pytest.mark.parametrize(
    "text",
    [
        "errors / requests > 0.05 for 2m",
        "sum by (host) (rate(errors, 5m)) / on (host) sum by (host) (rate(requests, 5m)) > 0.05",
        "errors > 5 and requests > 100",
        "(errors > 5 or no data on requests for 5m) unless on (host) requests < 3",
        "not (errors > 5)",
        'status == "down"',
        'status in ("down", "degraded") recover == "ok"',
        "count(status, 5m) < 3",
        "anomaly(requests, 7d, daily) > 4",
        "forecast(errors, 6h, 4h) offset 1d > 5",
        'no data on status for 15m expecting {host="a"}, {host="b"}',
        "errors > 0.1 * requests recover < 0.05 * requests",
    ],
)
def test_each_kind_is_kept_and_can_be_sent_back_as_text_and_as_message(client: Client, text: str) -> None:
    client.report("web", FIELDS)
    rule = client.call(creation(text)).rule
    assert rule.condition_text == text
    assert client.get(rule.id) == rule
    again = client.call(creation("", condition=rule.condition, for_duration=rule.for_duration)).rule
    assert again.condition == rule.condition
    rule.title = "Y"
    changed = client.call(rule_service_pb2.UpdateRuleRequest(rule=rule)).rule
    assert (changed.title, changed.condition, changed.condition_text) == ("Y", rule.condition, text)


def test_the_message_says_what_the_text_does(client: Client) -> None:
    client.report("web", FIELDS)
    condition = client.call(creation("sum by (host) (errors) / 2 > 5 and on (host) requests > 1")).rule.condition
    junction = condition.junction
    assert (junction.operator, list(junction.on)) == (pb.JUNCTION_OPERATOR_AND, ["host"])
    division = junction.conditions[0].comparison.left.arithmetic
    assert (division.operator, division.right.number) == (pb.ARITHMETIC_OPERATOR_DIVIDE, 2)
    assert list(division.left.group_aggregate.by) == ["host"]
    assert division.left.group_aggregate.expression.input.measurement == "net"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("erors > 5 and requets > 3", ["did you mean 'errors'?", "did you mean 'requests'?"]),
        ("status > 5", ["holds text", 'status == "down"']),
        ("status + errors > 5", ["holds text"]),
        ("avg(status, 5m) > 5 or errors > 3", ["holds text"]),
        ('errors == "down"', ["'errors' is INTEGER", "compare it with a number"]),
        ("status == down", ["no field 'down'", 'write it in quotes, as "down"']),
    ],
)
def test_each_field_is_looked_for_by_itself(client: Client, text: str, told: list[str]) -> None:
    client.report("web", FIELDS)
    error = client.refused(creation(text))
    assert error.code == "INVALID_ARGUMENT"
    for part in told:
        assert part in error.message


def test_a_name_with_a_dash_is_told_from_a_difference(client: Client) -> None:
    client.report("web", [*FIELDS, ("net", "a-b-c", "FIELD_TYPE_FLOAT"), ("net", "in/out", "FIELD_TYPE_FLOAT")])
    assert 'in quotes, as "a-b-c"' in client.refused(creation("a-b-c > 5")).message
    assert 'in quotes, as "in/out"' in client.refused(creation("in/out > 5")).message
    assert client.call(creation('"a-b-c" > 5')).rule.condition_text == '"a-b-c" > 5'
    assert client.call(creation("requests-errors > 5")).rule.condition_text == "requests - errors > 5"


def test_a_field_that_is_text_on_one_monitor_and_a_number_on_another_is_refused(client: Client) -> None:
    client.report("web_a", [("sys", "status", STRING)])
    client.report("web_b", [("sys", "status", "FIELD_TYPE_INTEGER")])
    for text in ('status == "down"', "status > 5"):
        error = client.refused(creation(text, monitor_id="web_*"))
        assert "INTEGER and STRING on different monitors" in error.message
    assert client.call(creation("no data on status for 5m", monitor_id="web_*")).rule.id
    assert client.call(creation("status > 5", monitor_id="web_b")).rule.id


def negations(depth: int) -> pb.Condition:
    condition = pb.Condition(absence=pb.Absence())
    condition.absence.duration.FromSeconds(60)
    for _ in range(depth):
        condition = pb.Condition(negation=pb.Negation(condition=condition))
    return condition


@pytest.mark.parametrize("depth", [21, 40])
def test_a_message_that_is_nested_too_deeply_is_refused(client: Client, depth: int) -> None:
    assert client.call(creation("", condition=negations(20), monitor_id="mon_host")).rule.id
    error = client.refused(creation("", condition=negations(depth), monitor_id="mon_host"))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_CONDITION")
    assert "nested more than 20 levels deep" in error.message


def comparison(**fields: Any) -> pb.Condition:
    left = pb.Expression(input=pb.Input(field="status"))
    given: dict[str, Any] = {"left": left, "operator": pb.COMPARISON_OPERATOR_EQUAL} | fields
    return pb.Condition(comparison=pb.Comparison(**given))


@pytest.mark.parametrize(
    ("condition", "told"),
    [
        (pb.Condition(), "rule.condition: sets none of"),
        (pb.Condition(negation=pb.Negation()), "rule.condition.negation.condition: sets none of"),
        (pb.Condition(junction=pb.Junction()), "rule.condition.junction.operator: isn't set"),
        (comparison(), "rule.condition.comparison.right: isn't set"),
        (comparison(text="x", tolerance=1), "rule.condition.comparison.tolerance: is set"),
        (comparison(texts=pb.TextList(values=["x"])), "rule.condition.comparison.operator: must be IN"),
        (comparison(text="x" * 1025), "1,025 characters; at most 1,024"),
        (
            comparison(operator=pb.COMPARISON_OPERATOR_IN, texts=pb.TextList(values=["x"] * 101)),
            "101 texts; give 1 to 100",
        ),
        (
            pb.Condition(junction=pb.Junction(operator=pb.JUNCTION_OPERATOR_UNLESS, conditions=[negations(0)] * 3)),
            "`unless` joins 3 conditions",
        ),
        (pb.Condition(negation=pb.Negation(condition=negations(0)), recover=negations(0)), "rule.condition.recover: "),
        (comparison(left=pb.Expression(arithmetic=pb.Arithmetic())), "comparison.left.arithmetic.operator: isn't set"),
        (
            comparison(
                left=pb.Expression(
                    group_aggregate=pb.GroupAggregate(
                        aggregation=pb.AGGREGATION_RATE, expression=pb.Expression(number=1)
                    )
                ),
                text="x",
            ),
            "rate can't make one number of many series",
        ),
        (
            pb.Condition(
                absence=pb.Absence(
                    duration=negations(0).absence.duration,
                    expected=[pb.TagSet(tags={"host": str(number)}) for number in range(1001)],
                )
            ),
            "1,001 tag sets are expected; at most 1,000",
        ),
        (
            pb.Condition(
                absence=pb.Absence(
                    duration=negations(0).absence.duration,
                    expected=[pb.TagSet(tags={str(number): "x" for number in range(10_000)})],
                )
            ),
            "10,000 tags; at most 100",
        ),
        (
            pb.Condition(junction=pb.Junction(operator=pb.JUNCTION_OPERATOR_OR, conditions=[negations(0)] * 10_000)),
            "more than 50 fields",
        ),
    ],
)
def test_what_a_message_lacks_is_named(client: Client, condition: pb.Condition, told: str) -> None:
    client.report("web", FIELDS)
    error = client.refused(creation("", condition=condition))
    assert error.reason == "INVALID_CONDITION"
    assert told in error.message


def test_a_message_that_is_nested_deeper_than_protobuf_reads_is_refused(client: Client, service: Running) -> None:
    condition = negations(0).SerializeToString()
    for _ in range(100):
        condition = within(5, within(1, condition))
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        method: Any = channel.unary_unary("/monitors.v1.RuleService/CreateRule")
        error = refused(lambda: method(within(1, within(4, condition)), metadata=client.metadata, timeout=60))
    assert (error.code, error.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert "at most 100 messages" in error.message


def within(field: int, payload: bytes) -> bytes:
    """A message that has another one as a field, as protobuf encodes it: tag and length as varints, then the bytes."""
    encoded = b""
    for number in (field << 3 | 2, len(payload)):
        while number >= 0x80:
            encoded += bytes([number & 0x7F | 0x80])
            number >>= 7
        encoded += bytes([number])
    return encoded + payload
