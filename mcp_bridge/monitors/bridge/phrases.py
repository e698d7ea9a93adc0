"""Words that the texts of all tools share. What people or machines wrote is quoted, so that it's seen to be data."""

import re

from monitors.bridge.output import Value
from monitors.bridge.values import ago, number

_PLAIN = re.compile(r"[\w.:/@*%+-]+", re.ASCII)


def named(text: str) -> str:
    """A name as it is, and in quotes if it's more than letters, digits and a few marks."""
    return text if _PLAIN.fullmatch(text) else repr(text)


def pairs(some: dict[str, str]) -> str:
    """Tags or labels."""
    return "{" + ", ".join(f"{named(name)}={value!r}" for name, value in some.items()) + "}"


def group(some: dict[str, str] | None) -> str:
    """The tags of one of several instances, if it has any, with a space before."""
    return f" {pairs(some)}" if some else ""


def last(value: Value | None) -> str:
    """A last value, a text in quotes, if there is one."""
    if value is None:
        return ""
    return f" = {value!r}" if isinstance(value, str) else f" = {number(value)}"


def when(moment: str, now: int) -> str:
    """A time, and how long ago that is."""
    return f"{moment} ({ago(moment, now)})" if now else moment


def count(number_of: int, one: str, many: str = "") -> str:
    """`1 rule`, `2 rules`."""
    return f"{number_of} {one if number_of == 1 else many or one + 's'}"


def shown(some: int, total: int, one: str, many: str = "", *, more: bool = False) -> str:
    """`5 rules`, or `2 of 5 rules`; `2 of more than 5 rules` if there are `more`."""
    if more:
        return f"{some} of more than {count(total, one, many)}"
    return count(total, one, many) if some == total else f"{some} of {count(total, one, many)}"
