"""InfluxQL's JSON to points, as 3.x sends it: documents in lines, of which any may be an error."""

import json

import pytest

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources.errors import SourceUnavailable
from monitors.evaluator.sources.influxql_answer import JsonAnswer, StatementError, naming
from monitors.evaluator.sources.influxql_text import Measurement, Statement
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import SeriesBook
from tests.evaluator.sources.parts import T0, Told, told_by

SITE = Measurement("site", (("ms", FieldType.FLOAT), ("up", FieldType.BOOLEAN)), ("monitor_id", "region"))
STATEMENT = Statement("", "s0", SITE, SITE.fields)
COLUMNS = ["time", "s0f0", "s0f1", "s0t0", "s0t1"]
MS = SourceSeries("a", "site", "ms", (), FieldType.FLOAT)
UP = SourceSeries("a", "site", "up", (("region", 'e"u,'),), FieldType.BOOLEAN)


def _document(*rows: list[object]) -> bytes:
    series = [{"name": "site", "columns": COLUMNS, "values": rows}]
    return json.dumps({"results": [{"statement_id": 0, "series": series}]}).encode() + b"\r\n"


def _read(*pieces: bytes) -> list[Told]:
    book = SeriesBook()
    answer = JsonAnswer([STATEMENT], naming(book))
    parts = [part for piece in pieces for part in answer.feed(piece)]
    return [told for part in [*parts, *answer.end()] for told in told_by(part, book.series)]


def test_documents_come_one_after_the_other_in_any_pieces() -> None:
    body = _document([T0, 1, None, "a", None]) + _document(
        [T0 + 1, None, True, "a", 'e"u,'], [T0 + 2, -0.0, None, "a", ""]
    )
    told = [(MS, T0, 1.0), (MS, T0 + 2, -0.0), (UP, T0 + 1, True)]
    assert sorted(_read(body)) == told
    assert sorted(_read(*(body[place : place + 7] for place in range(0, len(body), 7)))) == told


def test_an_answer_without_rows_has_no_points() -> None:
    assert _read(b'{"results":[{"statement_id":0}]}\r\n') == []
    assert _read(_document()) == []
    assert _read() == []


def test_an_error_is_told_in_the_servers_words() -> None:
    with pytest.raises(StatementError, match="max-concurrent-queries"):
        _read(_document([T0, 1, None, "a", ""]), b'{"results":[{"error":"max-concurrent-queries limit exceeded"}]}\n')


@pytest.mark.parametrize(
    "text", [b"<html>", b"[]", b'{"results":[{"series":[{"columns":["a"],"values":[[1]]}]}]}', b"{"]
)
def test_what_is_no_such_answer_is_refused(text: bytes) -> None:
    with pytest.raises(SourceUnavailable):
        _read(text)
