"""Our reader of annotated CSV beside the client's own, on the same bytes.

The client's is asked for a stream of records, which takes it least; `query()` keeps them in tables besides.
"""

import io
from functools import partial

from influxdb_client.client.flux_csv_parser import FluxCsvParser, FluxSerializationMode

from benchmarks.influx.load import Load
from benchmarks.measure import Figure, Spread, collector_off, repeated
from monitors.evaluator.sources.annotated_csv import Answer, naming
from monitors.evaluator.sources.series_book import SeriesBook

REPEATED = 9
PIECE = 1 << 18


def parsing(series: int) -> list[Figure]:
    """Both parsers on an answer with one point of each series. Ours has seen the series before, and hasn't."""
    body = Load(series).annotated_csv(0)
    shuffled = _shuffled(body)
    book = SeriesBook()
    names = naming(book)

    def ours(text: bytes) -> None:
        names.begin()
        answer = Answer(names, book)
        pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
        points = [part for piece in pieces for part in answer.feed(piece)] + answer.end()
        assert sum(map(len, points)) == series

    def theirs() -> None:
        parser = FluxCsvParser(io.BytesIO(body), FluxSerializationMode.stream)
        assert sum(1 for _ in parser.generator()) == series

    with collector_off():
        first = repeated(lambda: ours(body), 1)
        again = repeated(lambda: ours(body), REPEATED)
        other_order = Spread.of([repeated(partial(ours, text), 1).median for text in (shuffled, body) * 2])
        client = repeated(theirs, 3)
    size = f"{series:,} rows, {len(body) / 1e6:.1f} MB of annotated CSV"
    beside = f"{client:.3f} s by the client's own parser"
    return [
        Figure(f"{size}: a poll like the last", f"{again:.4f} s of CPU", beside, client.median / again.median, 10),
        Figure("  in another order", f"{other_order:.4f} s", beside, client.median / other_order.median),
        Figure("  of series never seen", f"{first:.4f} s", beside, client.median / first.median),
    ]


def _shuffled(body: bytes) -> bytes:
    """The same rows the other way round."""
    rows = body.split(b"\r\n")
    return b"\r\n".join([*rows[:4], *reversed(rows[4:-2]), *rows[-2:]])
