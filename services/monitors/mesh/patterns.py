"""Patterns that people write, matched in a time that they can't make long: regular expressions are RE2's."""

from functools import lru_cache
from typing import Any

import re2

MOST_MEMORY = 1 << 20
"""Bytes that one compiled expression may take."""

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = MOST_MEMORY


class InvalidPattern(ValueError):
    """The expression can't be read; the message says why."""


@lru_cache(maxsize=4_096)
def _compiled(pattern: str) -> Any:
    try:
        return re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise InvalidPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None


def check_pattern(pattern: str) -> None:
    """Raises InvalidPattern if a text isn't a regular expression."""
    _compiled(pattern)


def matches_whole(pattern: str, text: str) -> bool:
    """Whether an expression matches the text as a whole. Raises InvalidPattern."""
    return _compiled(pattern).fullmatch(text) is not None


def matches_stars(text: str, pattern: str) -> bool:
    """Whether a pattern names a text. `*` stands for any text, also none."""
    # Neither fnmatch nor an expression of Python's: only `*` is special, and many stars must not take exponential time.
    first, *middle = pattern.split("*")
    if not middle:
        return text == pattern
    last = middle.pop()
    if len(text) < len(first) + len(last) or not (text.startswith(first) and text.endswith(last)):
        return False
    place, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, place, end)
        if found < 0:
            return False
        place = found + len(part)
    return True
