"""Line protocol: what InfluxDB's own client writes is read back, and a bad line costs itself alone."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from influxdb_client import Point

from monitors.evaluator.lines import MAX_LINE, PRECISIONS, Naming, parse_lines
from monitors.evaluator.model.series import FieldType, SeriesKey
from monitors.evaluator.points import Points

NOW = 1_700_000_000_000_000_000

_Read = tuple[SeriesKey, FieldType, int, Any]


def value_of(kind: FieldType, points: Points, place: int) -> Any:
    bits = points.values[place : place + 1]
    if kind == FieldType.STRING:
        return points.texts[int(bits[0])]
    if kind == FieldType.BOOLEAN:
        return bool(bits[0])
    dtype = {FieldType.FLOAT: np.float64, FieldType.INTEGER: np.int64, FieldType.UNSIGNED: np.uint64}[kind]
    return bits.view(dtype)[0].item()


def read(body: str | bytes, unit: int = 1) -> list[_Read]:
    parsed = parse_lines(body if isinstance(body, bytes) else body.encode(), Naming("acme"), unit, NOW)
    assert parsed.errors == []
    points, found = parsed.submission.points, []
    for place in range(len(points)):
        definition = parsed.submission.definitions[~int(points.series[place])]
        found.append(
            (definition.key, definition.type, int(points.times[place]), value_of(definition.type, points, place))
        )
    return found


def errors(body: str | bytes) -> list[str]:
    parsed = parse_lines(body if isinstance(body, bytes) else body.encode(), Naming("acme"), 1, NOW)
    return [str(error) for error in parsed.errors]


# A backslash at the end of a name or before a comma, space or equals sign is ambiguous in the protocol itself; the
# client writes line breaks and tabs in names as two characters.
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    lambda name: "\\" not in name and name == name.strip() and not name.startswith("#")
)
VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
)
TYPES: dict[type, FieldType] = {
    float: FieldType.FLOAT, int: FieldType.INTEGER, bool: FieldType.BOOLEAN, str: FieldType.STRING,
}  # fmt: skip


@given(
    measurement=NAMES,
    tags=st.dictionaries(NAMES, NAMES, max_size=3),
    fields=st.dictionaries(NAMES, VALUES, min_size=1, max_size=4),
    time=st.integers(-(2**63) + 2, 2**63 - 2),
)
@example("m", {"monitor_id": "web"}, {"f": '\n"\\ ,=', "g": -0.0}, 5)
def test_whatever_the_official_client_writes_is_read_as_it_was(
    measurement: str, tags: dict[str, str], fields: dict[str, Any], time: int
) -> None:
    point = Point(measurement).time(time)
    for name, text in tags.items():
        point.tag(name, text)
    for name, value in fields.items():
        point.field(name, value)
    named_by = "monitor_id" if "monitor_id" in tags else "host" if "host" in tags else None
    monitor = tags[named_by] if named_by else measurement
    rest = tuple(sorted((name, text) for name, text in tags.items() if name != named_by))
    wanted = [
        (SeriesKey("acme", monitor, measurement, name, rest), TYPES[type(value)], time, value)
        for name, value in sorted(fields.items())
    ]
    found = read(point.to_line_protocol())
    assert found == wanted
    assert [repr(one[3]) for one in found] == [repr(one[3]) for one in wanted]


@given(st.lists(st.text('m,a=b x="1i\\\n\t#-.e+uT')))
@example(['m x="', "\n"])
def test_any_text_gives_points_or_errors_and_never_fails(parts: list[str]) -> None:
    body = "".join(parts)
    parsed = parse_lines(body.encode(), Naming("acme"), 1, NOW)
    assert parsed.error_count + len(parsed.submission.points) >= (1 if body.strip(" \t\r\n") and "#" not in body else 0)
    assert all(1 <= error.number <= body.count("\n") + 1 for error in parsed.errors)


@given(st.binary())
def test_any_bytes_give_points_or_errors_and_never_fail(body: bytes) -> None:
    parse_lines(b"m x=1\n" + body, Naming("acme"), 1, NOW)


@pytest.mark.parametrize(
    ("line", "monitor", "tags"),
    [
        ("cpu,monitor_id=web,host=a,cpu=0 x=1", "web", (("cpu", "0"), ("host", "a"))),
        ("cpu,host=a,cpu=0 x=1", "a", (("cpu", "0"),)),
        ("cpu,cpu=0 x=1", "cpu", (("cpu", "0"),)),
    ],
)
def test_the_monitor_is_the_id_else_the_host_else_the_measurement(
    line: str, monitor: str, tags: tuple[tuple[str, str], ...]
) -> None:
    ((key, _, _, _),) = read(line)
    assert key == SeriesKey("acme", monitor, "cpu", "x", tags)


def test_tags_in_another_order_are_the_same_series() -> None:
    first, second = read("m,b=2,a=1 x=1\nm,a=1,b=2 x=2")
    assert first[0] == second[0]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1", FieldType.FLOAT, 1.0), ("+1.5e3", FieldType.FLOAT, 1500.0), (".5", FieldType.FLOAT, 0.5),
        ("1.", FieldType.FLOAT, 1.0), ("-9223372036854775808i", FieldType.INTEGER, -(2**63)),
        ("18446744073709551615u", FieldType.UNSIGNED, 2**64 - 1), ("t", FieldType.BOOLEAN, True),
        ("False", FieldType.BOOLEAN, False), (r'"a\\b\"c\d"', FieldType.STRING, r'a\b"c\d'),
        ('""', FieldType.STRING, ""),
    ],
)  # fmt: skip
def test_a_value_says_its_type(text: str, kind: FieldType, value: Any) -> None:
    ((_, found_kind, _, found),) = read(f"m x={text} 1")
    assert (found_kind, found) == (kind, value)


@pytest.mark.parametrize(("precision", "time"), [("ns", 7), ("us", 7_000), ("ms", 7_000_000), ("s", 7_000_000_000)])
def test_a_timestamp_counts_in_the_precision(precision: str, time: int) -> None:
    assert read("m x=1 7", PRECISIONS[precision])[0][2] == time


def test_a_line_without_a_timestamp_is_of_now() -> None:
    assert read("m x=1\nm x=2  \r\n")[1][2] == NOW


def test_blank_lines_and_comments_are_passed_over_and_a_text_may_hold_line_breaks() -> None:
    found = read('# a comment\n\n  m s="one\ntwo",x=1 1\r\n\n\nm x=2 2\n')
    assert [one[3] for one in found] == ["one\ntwo", 1.0, 2.0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("m", "missing fields"), ("m ", "missing fields"), (",a=b x=1", "missing measurement"),
        ("m,a= x=1", "missing tag value"), ("m,a x=1", "missing tag value"), ("m,=b x=1", "missing tag key"),
        ("m,a=1,a=2 x=1", "duplicate tags"), ("m x", "invalid field format"), ("m x=", "missing field value"),
        ("m =1", "missing field key"), ("m x=1,", "missing fields"), ("m x=tru", "invalid boolean"),
        ("m x=abc", "invalid number"), ("m x=1_0", "invalid number"), ("m x=1e400", "value out of range"),
        ("m x=9223372036854775808i", "value out of range"), ("m x=-1u", "invalid number"),
        ("m x=" + "9" * 5000 + "i", "value out of range"), ("m x=nan", "NaN and infinity aren't taken"),
        ('m x="a', "unbalanced quotes"), ("m x=1 abc", "bad timestamp"), ("m x=1 1.5", "bad timestamp"),
        ("m x=1 99999999999999999999", "time outside range"), ("m x=1" + " " * MAX_LINE + "1", "at most 65,536"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_line_is_said_as_influxdb_says_it(line: str, reason: str) -> None:
    (message,) = errors(f"m x=1\n{line}\nm x=2")
    assert message.startswith("unable to parse '")
    assert reason in message
    assert message.endswith("(line 2)")


def test_a_bad_line_takes_nothing_and_the_good_ones_are_taken() -> None:
    parsed = parse_lines(b"m x=1 1\nm x=2,y=tru 2\nm x=3 3", Naming("acme"), 1, NOW)
    assert parsed.submission.points.times.tolist() == [1, 3]
    assert [definition.key.field for definition in parsed.submission.definitions.values()] == ["x"]
    assert parsed.error_count == 1


def test_bytes_that_are_not_utf8_cost_their_line_alone() -> None:
    parsed = parse_lines(b'm x=1 1\nm s="\xff" 2\nm x=3 3', Naming("acme"), 1, NOW)
    assert [str(error) for error in parsed.errors] == [
        "unable to parse 'm s=\"\N{REPLACEMENT CHARACTER}\" 2': it isn't UTF-8; encode it so (line 2)"
    ]
    assert len(parsed.submission.points) == 2


def test_errors_are_counted_but_only_a_hundred_are_kept() -> None:
    parsed = parse_lines(b"m x=\n" * 500, Naming("acme"), 1, NOW)
    assert (parsed.error_count, len(parsed.errors), parsed.errors[-1].number) == (500, 100, 100)
