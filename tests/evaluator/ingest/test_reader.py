"""The columnar reader: whatever it takes is what the line-by-line reader takes, bit for bit and in the same order."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from monitors.evaluator import reader as reader_module
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.columns import Irregular, read_columns
from monitors.evaluator.lines import PRECISIONS, Naming, ParsedLines, parse_lines
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.numerals import Text, floats, integers, unsigned
from monitors.evaluator.reader import LineReader

NOW = 1_700_000_000_000_000_000


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small bodies are read by columns too, in several blocks."""
    monkeypatch.setattr(reader_module, "SMALL", 0)
    monkeypatch.setattr(reader_module, "SHORTEST_LINE", 0)
    monkeypatch.setattr(reader_module, "BLOCK_LINES", 5)


def content(parsed: ParsedLines, catalogue: Catalogue | None = None) -> tuple[list[Any], list[str], int]:
    points, found = parsed.submission.points, []
    for series, time, bits in zip(points.series.tolist(), points.times.tolist(), points.values.tolist(), strict=True):
        if series < 0:
            key, kind = parsed.submission.definitions[~series]
        else:
            assert catalogue is not None
            key, kind = catalogue[series].key, catalogue[series].type
        found.append((key, kind, time, points.texts[bits] if kind is FieldType.STRING else bits))
    return found, [str(error) for error in parsed.errors], parsed.error_count


def register(parsed: ParsedLines, catalogue: Catalogue) -> None:
    for definition in parsed.submission.definitions.values():
        catalogue.find_or_add(definition)


NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(-1e6, 1e6).map(lambda number: f"{number:.3f}"),
    st.integers(-(10**20), 10**20).map(str),
    st.integers(-(10**20), 10**20).map(lambda number: f"{number}i"),
    st.integers(0, 10**20).map(lambda number: f"{number}u"),
    st.text("0123456789.-+eEiu", min_size=1, max_size=20),
    st.sampled_from(
        ["-0", "-0.0", "+1.", ".5", ".", "-", "1e5", "1E-400", "1e400", "1_0", "nan", "inf", "t", "T", "true", "False",
         "tru", "9223372036854775807i", "-9223372036854775808i", "9223372036854775808i", "18446744073709551615u",
         "0000000000000000000000001", "00000000000000000000001i", "9007199254740993", "123456789012345.6", "i", "u", "",
         "1.2.3", "12345678.1234567", "1234567.12345678", '"text"', '"a b,c=d"', '"two\nlines"', '"', "1i2", "+5i",
         "+5u", "--5i", "-+5", "+-5i", "1e+5", "1e", "e5", "0x1", "١"]
    ),
)  # fmt: skip
NAMES = st.sampled_from(["m", "cpu", "a-b", "ü", "host", "1", "x=", "", "\\", "a\\ b", "#", '"q', "n.1e5"])
TAGS = st.sampled_from(
    ["", ",host=a", ",host=b,cpu=0", ",monitor_id=w,z=1", ",a=1,a=2", ",a=", ",=b", ",a", ",a=b=c", ",k=\\,"]
)
TIMES = st.one_of(
    st.just(""),
    st.integers(-(2**63), 2**63 - 1).map(lambda time: f" {time}"),
    st.sampled_from(
        [f" {NOW}", f" {NOW + 1}", " 7", " 0", " 99999999999999999999", " 1.5", " x", "  8", " 9 ", " -5", " "]
    ),
)
FIELDS = st.lists(st.tuples(NAMES, NUMBERS), min_size=1, max_size=3).map(
    lambda fields: ",".join(f"{name}={value}" for name, value in fields)
)
LINES = st.one_of(
    st.tuples(NAMES, TAGS, FIELDS, TIMES).map(lambda parts: f"{parts[0]}{parts[1]} {parts[2]}{parts[3]}"),
    st.sampled_from(["", "# comment", ' # a "quoted" comment', "m x=1\r", "m x=1 5\r", "\t", "m\tx=1", " m x=1",
                     "m  x=1 5", "m,host=a x=1,,y=2", "m x=1, y=2", "m x=1,", "m x", "m", "m x=1 2 3", '#="', "m x=1\\",
                     "\x00 x=1"]),
    st.text('m,a=b x="1i\\\n\t#-.e+uT', max_size=20),
)  # fmt: skip
BODIES = st.lists(LINES, min_size=1, max_size=25).map("\n".join)


@settings(max_examples=500, deadline=None)
@given(body=BODIES, unit=st.sampled_from(sorted(set(PRECISIONS.values()))))
@example('m m=0.0\n#="\nm m=0.0\nm x=1\\\n', 1)
@example("m x=1 1\nm x=2\nm x=3 3\n\nm x=-0.0 4", 1)
@example('"\nm x=1\\\n', 1)
@example('m,host=a x=1,y=2i\nm,host=a x="a\nm x=1",y=3i\nm,host=a x=5,y=4i', 1)
def test_whatever_is_read_by_columns_is_what_is_read_line_by_line(body: str, unit: int) -> None:
    catalogue = Catalogue()
    line_reader = LineReader(catalogue)
    wanted = content(parse_lines(body.encode(), Naming("acme"), unit, NOW))
    first = line_reader.read(body.encode(), "acme", unit, NOW)
    assert content(first) == wanted
    register(first, catalogue)
    # Now by the catalogue's indexes, and then from what was seen before.
    for _ in range(3):
        assert content(line_reader.read(body.encode(), "acme", unit, NOW), catalogue) == wanted
    assert content(line_reader.read(body.encode(), "other", unit, NOW)) == content(
        parse_lines(body.encode(), Naming("other"), unit, NOW)
    )


@settings(deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=10), st.binary())
def test_any_bytes_are_read_alike(lines: list[bytes], tail: bytes) -> None:
    body = b"\n".join([b"m x=1 1", *(b"m x=" + line for line in lines), b"m,t=\xff x=2", b"m,t=\xc3\xbc x=3", tail])
    assert content(LineReader(Catalogue()).read(body, "acme", 1, NOW)) == content(
        parse_lines(body, Naming("acme"), 1, NOW)
    )


@settings(max_examples=500, deadline=None)
@given(st.lists(NUMBERS.filter(lambda text: "\n" not in text and text.isascii()), min_size=1, max_size=40))
def test_numbers_that_are_read_together_are_what_they_are_alone(texts: list[str]) -> None:
    text = Text("\n".join(texts).encode() + b"\n")
    ends = np.flatnonzero(text.characters == ord("\n"))
    starts = np.append(0, ends[:-1] + 1)
    values, known = floats(text, starts, ends)
    for word, value in zip(np.array(texts)[known].tolist(), values[known].tolist(), strict=True):
        assert repr(float(word)) == repr(value)
        assert word.strip("0123456789.+-") == ""
    for read, signs in ((integers, "+-"), (unsigned, "")):
        values, known = read(text, starts, ends)  # type: ignore[assignment]
        for word, value in zip(np.array(texts)[known].tolist(), values[known].tolist(), strict=True):
            assert int(word) % 2**64 == value
            assert word.removeprefix(word[0] if word[0] in signs else "").isdigit()


@pytest.mark.parametrize("text", ["0", "-1.5", "123456.78", "12345678.1234567", "1234567890123456", "1234567890.12345"])
def test_ordinary_floats_are_read_together(text: str) -> None:
    values, known = floats(Text(text.encode()), np.array([0]), np.array([len(text)]))
    assert (values.tolist(), known.tolist()) == ([float(text)], [True])


def test_regular_lines_of_a_mixed_body_are_read_by_columns() -> None:
    text = b"m,host=a x=1,y=2i,up=true 5\nm x=1e5 6\nm x=18446744073709551615u 7\nm x=97.89473684213013\n"
    columns = read_columns(text, 1, NOW)
    assert columns.forms == b"m,host=a x=,y=i,up=true \nm x= \nm x=u \nm x=\n"
    assert columns.times.tolist() == [5, 6, 7, NOW]
    assert columns.line_of_value.tolist() == [0, 0, 0, 1, 2, 3]
    with pytest.raises(Irregular) as raised:
        read_columns(b'm x=1 1\nm x="a" 2\nm x=3 3\n', 1, NOW)
    assert raised.value.regular.tolist() == [True, False, True]


def test_what_is_kept_of_former_bodies_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FORMS_BYTES", 2_000)
    monkeypatch.setattr(reader_module, "BLOCKS_BYTES", 2_000)
    catalogue = Catalogue()
    line_reader = LineReader(catalogue)
    for round_ in range(30):
        body = "".join(f"m,host=h{round_}-{place} x={place} {NOW}\n" for place in range(10)).encode()
        register(line_reader.read(body, "acme", 1, NOW), catalogue)
        parsed = line_reader.read(body, "acme", 1, NOW)
        assert content(parsed, catalogue) == content(parse_lines(body, Naming("acme"), 1, NOW))
        assert parsed.submission.definitions == {}
    seen = line_reader._seen
    assert sum(len(form) for form in seen.forms("acme")) <= 2_000
    assert sum(len(forms) for forms, _ in seen._blocks.values()) <= 2_000
