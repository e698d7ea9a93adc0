"""Rows of texts to places of series: the same as by looking up each, in memory that knows a bound."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources import series_book
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import Naming, Row, SeriesBook

TEXTS = st.sampled_from(["", "a", "b", "c,d", "é"])
BLOCKS = st.lists(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8), max_size=4)
ANSWERS = st.lists(BLOCKS, min_size=1, max_size=5)


def _named(shape: str, column: int, row: Row) -> SourceSeries:
    return SourceSeries(
        row[0], shape, str(column), tuple((str(place), text) for place, text in enumerate(row)), FieldType(1)
    )


@given(ANSWERS)
def test_each_row_gets_its_series_whatever_came_before(answers: list[list[list[tuple[str, str]]]]) -> None:
    book = SeriesBook()
    names = Naming(book, _named)
    for blocks in answers:
        names.begin()
        for rows in blocks:
            columns = [pa.array(column, pa.string()) for column in zip(*rows, strict=True)]
            numbers = names.rows("m").numbers(columns, len(rows))
            for column in (0, 1):
                found = [book.series[place] for place in names.places("m", column).of(numbers).tolist()]
                assert found == [_named("m", column, row) for row in rows]
    assert len(set(book.series)) == len(book.series)


def test_rows_without_columns_are_all_the_same() -> None:
    names: Naming[str, str] = Naming(
        SeriesBook(), lambda _, column, row: SourceSeries("m", "m", column, (), FieldType(1))
    )
    assert names.places("m", "f").of(names.rows("m").numbers([], 3)).tolist() == [0, 0, 0]


def test_shapes_that_come_no_more_are_forgotten_and_may_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series_book, "SPARE_ROWS", 0)
    book = SeriesBook()
    names: Naming[str, str] = Naming(book, lambda _, column, row: SourceSeries(row[0], "m", column, (), FieldType(1)))
    column = pa.array([f"m{number}" for number in range(50)])
    for shape in ("a", "b", "c", "d", "e", "a"):
        names.begin()
        places = names.places(shape, "f").of(names.rows(shape).numbers([column], 50))
        assert np.array_equal(places, np.arange(50))
        assert sum(len(names.rows(one).known) for one in "abcde") <= 150
    assert len(book.series) == 50
