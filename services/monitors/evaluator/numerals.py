"""Many decimal numbers of a text read at once: eight digits at a time in the bytes of 64-bit integers.

The three multiplications that make a number of eight digits are Johnny Lee's ("Fast numeric string to int", 2016). A
float of up to 15 digits is a whole number below 2**53 divided by a power of ten below 10**22, both exact, so that the
quotient is rounded once and so is the nearest double, as `float` has it (Clinger, "How to Read Floating Point Numbers
Accurately", 1990).
"""

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import Floats, Int64s

Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]

PAD = 24
"""How many bytes must stand before the text, so that the words that end in it exist."""
MAX_INTEGER_DIGITS = 19
MAX_FLOAT_LENGTH = 16
_MINUS, _PLUS = ord("-"), ord("+")


def _each_byte(value: int) -> np.uint64:
    return np.uint64(value * 0x0101010101010101)


_ZEROS, _DOTS = _each_byte(ord("0")), _each_byte(ord(".") ^ ord("0"))
_ONES, _SIGN_BITS, _ABOVE_NINE = _each_byte(0x01), _each_byte(0x80), _each_byte(0x76)
_BYTE = np.uint64(8)
_LOW_BYTE = np.uint64(0xFF)
# What keeps the last 0 to 8 bytes of a word.
_LAST = np.array([0] + [(2**64 - 1) << 8 * (8 - count) & (2**64 - 1) for count in range(1, 9)], np.uint64)
_POWERS = np.array([10**power for power in range(17)], np.uint64)
_EXACT = np.uint64(2**53)


class Text:
    """A text and all of its words: `words[end - 8 + PAD]` are the eight bytes before `end`."""

    def __init__(self, text: bytes) -> None:
        self.padded = bytes(PAD) + text
        self.characters: NDArray[np.uint8] = np.frombuffer(self.padded, np.uint8, offset=PAD)
        self._words: Words = np.ndarray((len(self.padded) - 7,), "<u8", self.padded, strides=(1,))

    def digits_before(self, ends: Int64s, counts: Int64s | int) -> Words:
        """The last `counts` (0 to 8) characters before each end, less "0", the first of them in the lowest byte.

        An end may be as many as 16 bytes before the text.
        """
        words: Words = (self._words[ends + (PAD - 8)] ^ _ZEROS) & _LAST[counts]
        return words

    def slices(self, starts: Int64s, ends: Int64s) -> list[bytes]:
        """Parts of the text."""
        padded = self.padded
        return [padded[start:end] for start, end in zip((starts + PAD).tolist(), (ends + PAD).tolist(), strict=True)]


def unsigned(text: Text, starts: Int64s, ends: Int64s) -> tuple[Words, Mask]:
    """Whole numbers of 1 to 19 digits, and which of the spans are such."""
    lengths = ends - starts
    known = (lengths > 0) & (lengths <= MAX_INTEGER_DIGITS)
    lengths = np.clip(lengths, 0, MAX_INTEGER_DIGITS)
    values = np.zeros(len(starts), np.uint64)
    longest, shortest = int(lengths.max(initial=0)), int(lengths.min(initial=MAX_INTEGER_DIGITS))
    for start in range(0, longest, 8):
        # Times are all as long as each other.
        counts = min(longest - start, 8) if longest == shortest else np.clip(lengths - start, 0, 8)
        digits = text.digits_before(ends - start, counts)
        if (digits == digits[0]).all():
            # Times of one moment are the same, or begin alike.
            digits = digits[:1]
        known &= _are_digits(digits)
        values += _number(digits) * _POWERS[start]
    return values, known


def integers(text: Text, starts: Int64s, ends: Int64s) -> tuple[Words, Mask]:
    """The bits of whole numbers of up to 18 digits with or without a sign, and which of the spans are such."""
    starts, negative = _after_sign(text, starts)
    values, known = unsigned(text, starts, ends)
    known &= ends - starts < MAX_INTEGER_DIGITS
    return np.where(negative, np.uint64(0) - values, values), known


def floats(text: Text, starts: Int64s, ends: Int64s) -> tuple[Floats, Mask]:
    """Numbers of up to 16 characters without an exponent, and which of the spans are such."""
    starts, negative = _after_sign(text, starts)
    lengths = ends - starts
    known = (lengths > 0) & (lengths <= MAX_FLOAT_LENGTH)
    lengths = np.clip(lengths, 0, MAX_FLOAT_LENGTH)
    digits, has_dot, decimals = _without_dot(text.digits_before(ends, np.minimum(lengths, 8)))
    known &= _are_digits(digits)
    whole, dots = _number(digits), has_dot.astype(np.int64)
    if int(lengths.max(initial=0)) > 8:
        front, front_has_dot, front_decimals = _without_dot(text.digits_before(ends - 8, np.maximum(lengths - 8, 0)))
        known &= _are_digits(front)
        whole += _number(front) * _POWERS[8 - dots]
        decimals = np.where(front_has_dot, front_decimals + 8, decimals)
        dots += front_has_dot
        known &= (dots < 2) & (whole <= _EXACT)
    known &= lengths > dots
    values = whole.astype(np.float64) / _POWERS[decimals].astype(np.float64)
    return np.where(negative, -values, values), known


def _after_sign(text: Text, starts: Int64s) -> tuple[Int64s, Mask]:
    first = text.characters[starts]
    negative = first == _MINUS
    return starts + (negative | (first == _PLUS)), negative


def _are_digits(digits: Words) -> Mask:
    good: Mask = ((digits + _ABOVE_NINE | digits) & _SIGN_BITS) == 0
    return good


def _number(digits: Words) -> Words:
    pairs = digits * np.uint64(10 << 8 | 1) >> np.uint64(8) & np.uint64(0x00FF00FF00FF00FF)
    fours = pairs * np.uint64(100 << 16 | 1) >> np.uint64(16) & np.uint64(0x0000FFFF0000FFFF)
    number: Words = fours * np.uint64(10_000 << 32 | 1) >> np.uint64(32)
    return number


def _without_dot(digits: Words) -> tuple[Words, Mask, Int64s]:
    """The words less their first dot, which had them, and how many characters follow it."""
    differences = digits ^ _DOTS
    # The lowest set bit is that of the first byte that equals a dot.
    found = differences - _ONES & ~differences & _SIGN_BITS
    has_dot = found != 0
    before = ((found & np.uint64(0) - found) >> np.uint64(7)) - np.uint64(1)
    after = ~(before << _BYTE | _LOW_BYTE)
    joined = np.where(has_dot, digits & after | (digits & before) << _BYTE, digits)
    decimals = np.where(has_dot, np.bitwise_count(after) >> 3, 0).astype(np.int64)
    return joined, has_dot, decimals
