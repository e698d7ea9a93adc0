"""Annotated CSV in the shapes that InfluxDB's documentation shows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources.annotated_csv import Answer, Collision, naming
from monitors.evaluator.sources.errors import SourceRefused, SourceUnavailable
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import SeriesBook
from tests.evaluator.sources.parts import Told, told_by

TWO_TABLES = """#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
#group,false,false,true,true,false,false,true,true,true
#default,my-result,,,,,,,,
,result,table,_start,_stop,_time,_value,_field,_measurement,host
,,0,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00Z,15.43,used_percent,mem,m1
,,1,2022-12-31T05:41:24Z,2023-01-31T05:41:24.001Z,2023-01-01T00:52:00.123456789Z,59.25,used_percent,mem,m2

#datatype,string,long,dateTime:RFC3339,boolean,string,string,string,string
#default,_result,,,,,,,
,result,table,_time,_value,_field,_measurement,monitor_id,region
,,2,2023-01-01T00:00:00Z,true,up,site,a,
,,2,2023-01-01T00:00:01Z,,up,site,a,eu
,,3,2023-01-01T00:00:02Z,false,up,site,a,eu

"""
FIRST = 1_672_534_320_000_000_000
FLOAT, BOOLEAN, STRING = FieldType.FLOAT, FieldType.BOOLEAN, FieldType.STRING


class _Source:
    """As much of a source as `told_by` asks for."""

    def __init__(self) -> None:
        self.book = SeriesBook()
        self.series = self.book.series
        self.names = naming(self.book)


def _read(text: str, cuts: list[int] | None = None, monitors: frozenset[str] | None = None) -> list[Told]:
    source = _Source()
    answer = Answer(source.names, source.book, monitors)
    body = text.replace("\n", "\r\n").encode()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    parts = [part for start, end in itertools.pairwise(edges) for part in answer.feed(body[start:end])]
    return [told for part in [*parts, *answer.end()] for told in told_by(part, source.series)]


def test_tables_of_several_shapes_come_one_after_the_other() -> None:
    assert _read(TWO_TABLES) == [
        (SourceSeries("m1", "mem", "used_percent", (), FLOAT), FIRST, 15.43),
        (SourceSeries("m2", "mem", "used_percent", (), FLOAT), FIRST + 123_456_789, 59.25),
        (SourceSeries("a", "site", "up", (), BOOLEAN), FIRST - 3_120_000_000_000, True),
        (SourceSeries("a", "site", "up", (("region", "eu"),), BOOLEAN), FIRST - 3_118_000_000_000, False),
    ]


@given(st.lists(st.integers(0), max_size=6))
def test_the_pieces_in_which_it_comes_change_nothing(cuts: list[int]) -> None:
    assert _read(TWO_TABLES, cuts) == _read(TWO_TABLES)


def test_points_of_other_monitors_are_passed_over() -> None:
    assert [series.monitor for series, _, _ in _read(TWO_TABLES, monitors=frozenset(["m2"]))] == ["m2"]


def test_an_empty_answer_has_no_points() -> None:
    assert _read("") == []
    assert _read("\n") == []
    assert _read(TWO_TABLES.partition(",,0")[0]) == []


def test_what_a_column_leaves_out_is_what_its_header_says() -> None:
    text = TWO_TABLES.replace("#default,_result,,,,,,,", "#default,_result,,,,,,b,").replace("site,a,", "site,,")
    assert {series.monitor for series, _, _ in _read(text)} == {"m1", "m2", "b"}


def test_texts_hold_quotes_commas_and_line_breaks() -> None:
    told = _read(
        "#datatype,string,long,dateTime:RFC3339,string,string,string\n,result,table,_time,_value,_field,_measurement\n"
        ',_result,0,2023-01-01T00:52:00Z,"a ""b"", c\n\nd",note,site\n,_result,0,2023-01-01T00:52:01Z,,note,site\n\n'
    )
    assert [value for _, _, value in told] == ['a "b", c\n\nd', ""]


@pytest.mark.parametrize("tag", ["table", "result", "error", "reference"])
def test_a_tag_that_is_named_like_a_column_of_the_answer_is_a_tag_as_any_other(tag: str) -> None:
    text = TWO_TABLES.replace(",region\n", f",{tag}\n")
    assert [series.tags for series, _, _ in _read(text)] == [(), (), (), ((tag, "eu"),)]


def test_an_error_after_the_first_tables_is_an_error() -> None:
    text = TWO_TABLES + "#datatype,string,string\n,error,reference\n,query terminated: it took too long,897\n"
    with pytest.raises(SourceUnavailable, match="took too long"):
        _read(text)
    with pytest.raises(Collision):
        _read("#datatype,string,string\n,error,reference\n,schema collision: cannot group float and int,\n")


@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        ("boolean", "duration", SourceUnavailable),
        ("_value,_field,_measurement,monitor_id", "_vale,_field,_measurement,monitor_id", SourceUnavailable),
        ("#datatype,string,long,dateTime:RFC3339,boolean,string,string,string,string\n", "", SourceUnavailable),
        ("monitor_id,region", "_time,region", SourceRefused),
        ("00:00:02Z", "soon", SourceUnavailable),
    ],
)
def test_an_answer_that_is_not_as_it_was_asked_for_is_refused(old: str, new: str, kind: type) -> None:
    assert old in TWO_TABLES
    with pytest.raises(kind):
        _read(TWO_TABLES.replace(old, new))
