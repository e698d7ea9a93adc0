"""Line protocol: the same text as InfluxDB's own client writes."""

from hypothesis import given
from hypothesis import strategies as st
from influxdb_client import Point
from line_protocol_parser import parse_line

from monitors.collectors.lines import Field, format_line

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).filter(
    lambda name: not name.startswith("#")
)
VALUES: st.SearchStrategy[Field] = st.one_of(
    st.floats(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=12)
)


@given(NAMES, st.dictionaries(NAMES, st.text(max_size=12), max_size=4), st.dictionaries(NAMES, VALUES, max_size=4))
def test_a_line_is_what_the_official_client_writes(
    measurement: str, tags: dict[str, str], fields: dict[str, Field]
) -> None:
    point = Point.from_dict({"measurement": measurement, "tags": tags, "fields": fields, "time": 42})
    assert format_line(measurement, tags, fields, 42) == point.to_line_protocol()


def test_a_line_reads_back_as_what_was_written() -> None:
    tags = {"path": "/mnt/a b,c=d", "empty": ""}
    fields: dict[str, Field] = {"percent": 12.5, "count": 3, "whole": 2.0, "bad": float("nan"), "text": 'a "b" \\ c'}
    parsed = parse_line(format_line("disk usage", tags, fields, 1_772_366_400_000_000_001))
    assert parsed["measurement"] == "disk usage"
    assert parsed["tags"] == {"path": "/mnt/a b,c=d"}
    assert parsed["fields"] == {"percent": 12.5, "count": 3, "whole": 2.0, "text": 'a "b" \\ c'}
    assert parsed["time"] == 1_772_366_400_000_000_001


def test_a_point_without_a_field_is_no_line() -> None:
    assert format_line("m", {"a": "b"}, {}, 1) == ""
    assert format_line("m", {}, {"x": float("inf")}, 1) == ""
