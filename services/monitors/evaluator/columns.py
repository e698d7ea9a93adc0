"""Regular lines of line protocol to columns, many at a time: where things stand is found in whole arrays of bytes.

A regular line has a head, numbers as fields and perhaps a time, one space between them, and nothing that needs a
second look: no quote, backslash or control character. What is left of a line without its numbers, its form, says which
series they belong to. Senders repeat their forms, so a form is read once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import Int64s
from monitors.evaluator.numerals import Mask, Text, floats, integers, unsigned

NEWLINE, SPACE, COMMA, EQUALS, HASH = (ord(character) for character in "\n ,=#")
_I, _U, _NINE = ord("i"), ord("u"), ord("9")
_FLOAT_CHARACTERS = b"0123456789.eE+-"
BOOLEANS = dict.fromkeys((b"t", b"T", b"true", b"True", b"TRUE"), 1) | dict.fromkeys(
    (b"f", b"F", b"false", b"False", b"FALSE"), 0
)
_INT64_MIN, _INT64_MAX, _UINT64_MAX = -(2**63), 2**63 - 1, 2**64 - 1


class Columns(NamedTuple):
    """Regular lines, read. One entry of `values` and `line_of_value` for each field; `times` for each line."""

    values: NDArray[np.uint64]
    line_of_value: Int64s
    times: Int64s
    forms: bytes
    """The lines without their numbers, each ended by a line break. Words and the `i` and `u` of whole numbers stay."""


class Irregular(Exception):
    """Some lines aren't regular: `regular` tells which are."""

    def __init__(self, regular: Mask) -> None:
        super().__init__("some lines aren't regular")
        self.regular = regular


class _Layout(NamedTuple):
    """Where things stand: the marks of each line, and the begin and end of each value and of each time."""

    line_starts: Int64s
    counts: Int64s
    line_of_value: Int64s
    starts: Int64s
    ends: Int64s
    is_timed: Mask
    time_starts: Int64s
    time_ends: Int64s


def read_columns(text: bytes, unit: int, now: int) -> Columns:
    """Reads whole lines, each ended by a line break, whose times count in `unit` nanoseconds. Raises Irregular."""
    body = Text(text)
    layout = _layout(body)
    values, value_ends = _values(body, layout)
    times = _times(body, layout, unit, now)
    return Columns(values, layout.line_of_value, times, _forms(body, layout, value_ends))


def _layout(text: Text) -> _Layout:
    characters = text.characters
    is_mark = (characters == SPACE) | (characters == COMMA)
    is_mark |= characters == EQUALS
    is_mark |= characters == NEWLINE
    marks = np.flatnonzero(is_mark)
    kinds = characters[marks]
    breaks, spaces = np.flatnonzero(kinds == NEWLINE), np.flatnonzero(kinds == SPACE)
    line_ends = marks[breaks]
    line_starts = np.append(0, line_ends[:-1] + 1)
    spaces_so_far = _spaces_so_far(spaces, breaks)
    spaces_before = np.append(0, spaces_so_far[:-1])
    space_counts = spaces_so_far - spaces_before
    _demand((space_counts == 1) | (space_counts == 2))
    is_timed = space_counts == 2
    first = spaces[spaces_before]
    last = np.where(is_timed, spaces[spaces_so_far - 1], breaks)
    counts = (last - first) >> 1
    _demand((counts > 0) & ((last - first) & 1 == 0) & (marks[first] > line_starts))
    # The fields' marks are equals signs and commas by turns; of every pair the first is here.
    total = np.cumsum(counts)
    line_of_value = np.repeat(np.arange(len(counts)), counts)
    equals = np.repeat(first + 1 - 2 * (total - counts), counts) + 2 * np.arange(len(line_of_value))
    starts, ends = marks[equals] + 1, marks[equals + 1]
    good = (kinds[equals] == EQUALS) & (kinds[equals + 1] != EQUALS)
    good &= (starts - marks[equals - 1] > 2) & (ends > starts)
    if not good.all():
        raise Irregular(~_any_of_line(line_of_value, ~good, len(counts)))
    return _Layout(
        line_starts, counts, line_of_value, starts, ends, is_timed, marks[last[is_timed]] + 1, line_ends[is_timed]
    )


def _spaces_so_far(spaces: Int64s, breaks: Int64s) -> Int64s:
    """How many spaces there are before each line break."""
    firsts, seconds = spaces[::2], spaces[1::2]
    if len(spaces) == 2 * len(breaks) and (seconds < breaks).all() and (firsts[1:] > breaks[:-1]).all():
        # Two in every line, as they almost always are.
        return 2 * np.arange(1, len(breaks) + 1)
    return np.searchsorted(spaces, breaks)


def _demand(regular: Mask) -> None:
    if not regular.all():
        raise Irregular(regular)


def _any_of_line(line_of_value: Int64s, which: Mask, count: int) -> Mask:
    lines = np.zeros(count, np.bool_)
    lines[line_of_value[which]] = True
    return lines


def _values(text: Text, layout: _Layout) -> tuple[NDArray[np.uint64], Int64s]:
    """The bits of each value, and where its number ends: before the letter of its type, or before a word begins."""
    starts, ends = layout.starts, layout.ends
    final = text.characters[ends - 1]
    is_float = final <= _NINE
    if is_float.all():
        numbers, known = floats(text, starts, ends)
        bits = numbers.view(np.uint64)
    else:
        bits, known = np.zeros(len(starts), np.uint64), np.zeros(len(starts), np.bool_)
        chosen = np.flatnonzero(is_float)
        numbers, known[chosen] = floats(text, starts[chosen], ends[chosen])
        bits[chosen] = numbers.view(np.uint64)
        chosen = np.flatnonzero(final == _I)
        bits[chosen], known[chosen] = integers(text, starts[chosen], ends[chosen] - 1)
        ends = ends - ((final == _I) | (final == _U))
    if not known.all():
        bits, ends = bits.copy(), ends.copy()
        left = np.flatnonzero(~known)
        long = left[is_float[left]]
        known[long] = _long_floats(text.slices(starts[long], ends[long]), bits, long)
        rest = left[~is_float[left]]
        words = text.slices(starts[rest], layout.ends[rest])
        known[rest] = [_odd_value(word, place, bits) for word, place in zip(words, rest.tolist(), strict=True)]
        if not known.all():
            raise Irregular(~_any_of_line(layout.line_of_value, ~known, len(layout.counts)))
        # A word is no number: it stays whole.
        is_word = rest[(final[rest] != _I) & (final[rest] != _U)]
        ends[is_word] = starts[is_word]
    return bits, ends


def _long_floats(words: list[bytes], bits: NDArray[np.uint64], places: Int64s) -> Mask:
    """Reads words that should be floats; tells which are."""
    try:
        numbers = np.array(list(map(float, words)), np.float64)
    except ValueError:
        numbers = np.array([_float(word) for word in words], np.float64)
    if b"".join(words).translate(None, _FLOAT_CHARACTERS):
        numbers[[bool(word.translate(None, _FLOAT_CHARACTERS)) for word in words]] = np.nan
    bits[places] = numbers.view(np.uint64)
    return np.isfinite(numbers)


def _float(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:
        return np.nan


def _odd_value(word: bytes, place: int, bits: NDArray[np.uint64]) -> bool:
    """Reads a value that doesn't end with a digit or a dot; False if it can't be read."""
    known = BOOLEANS.get(word)
    if known is not None:
        bits[place] = known
        return True
    return word[-1:] in (b"i", b"u") and _odd_integer(word, place, bits)


def _odd_integer(word: bytes, place: int, bits: NDArray[np.uint64]) -> bool:
    digits, is_signed = word[:-1], word.endswith(b"i")
    if is_signed and digits[:1] in (b"-", b"+"):
        digits = digits[1:]
    if not digits.isdigit() or len(digits) > 20:
        return False
    number = int(word[:-1])
    if (is_signed and not _INT64_MIN <= number <= _INT64_MAX) or number > _UINT64_MAX:
        return False
    bits[place] = number % 2**64
    return True


def _times(text: Text, layout: _Layout, unit: int, now: int) -> Int64s:
    times = np.full(len(layout.counts), now, np.int64)
    counts, known = unsigned(text, layout.time_starts, layout.time_ends)
    known &= counts <= np.uint64((_INT64_MAX - 1) // unit)
    if not known.all():
        regular = np.ones(len(times), np.bool_)
        regular[np.flatnonzero(layout.is_timed)[~known]] = False
        raise Irregular(regular)
    times[layout.is_timed] = counts.astype(np.int64) * unit
    return times


def _forms(text: Text, layout: _Layout, value_ends: Int64s) -> bytes:
    """The text without the numbers and times."""
    timed_so_far = np.cumsum(layout.is_timed)
    value_places = np.arange(len(layout.starts)) + (timed_so_far - layout.is_timed)[layout.line_of_value]
    time_places = (np.cumsum(layout.counts) + timed_so_far - 1)[layout.is_timed]
    edges = np.empty((len(value_places) + len(time_places), 2), np.int64)
    edges[value_places, 0], edges[value_places, 1] = layout.starts, value_ends
    edges[time_places, 0], edges[time_places, 1] = layout.time_starts, layout.time_ends
    lengths = np.diff(edges.ravel(), prepend=0, append=len(text.characters))
    stays = np.arange(len(lengths)) & 1 == 0
    forms: bytes = text.characters[np.repeat(stays, lengths)].tobytes()
    return forms
