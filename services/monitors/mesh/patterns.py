"""Regular expressions that people write: RE2's, which take time in proportion to the text, whatever they say."""

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
