"""CSV that comes in pieces: wherever they're cut, the rows and their headers are the same."""

import csv
import io
import itertools

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from monitors.evaluator.sources import csv_blocks
from monitors.evaluator.sources.csv_blocks import Blocks, read_block
from monitors.evaluator.sources.errors import SourceUnavailable

CELLS = st.text(st.sampled_from('ab,"\n é#'), max_size=6)
ROWS = st.lists(st.tuples(CELLS, CELLS), max_size=6)
SECTIONS = st.lists(st.tuples(st.lists(CELLS, min_size=1, max_size=2), ROWS), min_size=1, max_size=4)


def _written(rows: list[list[str]], ending: str) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=ending).writerows(rows)
    return text.getvalue()


def _fed(blocks: Blocks, body: bytes, cuts: list[int]) -> list[tuple[tuple[str, ...], list[list[str]]]]:
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    found = []
    for start, end in itertools.pairwise(edges):
        found += list(blocks.feed(body[start:end]))
    found += list(blocks.end())
    joined = dict[tuple[str, ...], list[list[str]]]()
    for block in found:
        # Empty rows are passed over by whoever reads a block.
        rows = [row for row in csv.reader(io.StringIO(block.body.decode(), newline="")) if row]
        joined.setdefault(block.header.labels, []).extend(rows)
    return [(labels, rows) for labels, rows in joined.items() if rows]


@example([([""], []), ([""], [])], [16, 17], 1, "\n")
@given(SECTIONS, st.lists(st.integers(0), max_size=5), st.integers(1, 60), st.sampled_from(["\n", "\r\n"]))
def test_rows_and_headers_are_the_same_wherever_the_pieces_are_cut(
    sections: list[tuple[list[str], list[tuple[str, str]]]], cuts: list[int], size: int, ending: str
) -> None:
    told, text = [], ""
    for number, (labels, rows) in enumerate(sections):
        # Rows begin with a comma or a name, as those of both dialects do, and headers are different.
        header = [f"n{number}", *labels]
        full = [[f"v{number}", *row] for row in rows]
        text += (ending if number else "") + _written([["#datatype", "x"], header, *full], ending)
        if full:
            told.append((tuple(header), full))
    assert _fed(Blocks(b"#", size), text.encode(), cuts) == told


def test_what_ends_within_a_row_has_been_broken_off() -> None:
    blocks = Blocks(b"#")
    list(blocks.feed(b"a,b\n1,2\n3,"))
    with pytest.raises(SourceUnavailable, match="within a row"):
        list(blocks.end())


def test_a_quote_that_is_never_closed_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "LONGEST_ROW", 1_000)
    blocks = Blocks(b"#", 100)
    pieces = [b'a\n"1,2\n', *[b"1,2\n"] * 1_000]
    with pytest.raises(SourceUnavailable, match="too long"):
        list(itertools.chain.from_iterable(map(blocks.feed, pieces)))


def test_what_is_not_utf_8_costs_its_own_characters_only() -> None:
    table = read_block(b"1,a\xff\n2,b\n", {"t": pa.string()}, ["n", "t"])
    assert table.column("t").to_pylist() == ["a�", "b"]


def test_what_is_no_csv_is_told_without_its_text() -> None:
    with pytest.raises(SourceUnavailable, match="isn't the CSV") as caught:
        read_block(b"<html>\nsecret\n", {"n": pa.int64()}, ["n"])
    assert "secret" not in caught.value.message
