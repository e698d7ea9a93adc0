"""The filter of a list request: terms `name=value` joined by AND."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import SECOND
from monitors.rules.model.catalogue import did_you_mean
from monitors.rules.model.quantities import listed, shown

LONGEST_FILTER = 1000
_TERM = re.compile(r'\s*(?P<name>[^\s="]+)\s*=\s*(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<bare>[^\s"]+))')
_AND = re.compile(r"\s+AND(?=\s)", re.IGNORECASE)
SEVERITIES = ("low", "medium", "high", "critical")
Check = tuple[str, ...] | Callable[[str], str | None] | None


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that must be equal."""

    name: str
    value: str


def read_filter(text: str, names: Mapping[str, Check]) -> list[Term]:
    """The terms of a filter. `names` are those it may use, each with the values it may have or with a check that
    returns the value in one form, or None. A name that ends in a dot stands for all that begin with it.

    Raises InvalidField.
    """
    if len(text) > LONGEST_FILTER:
        raise InvalidField("filter", f"has {len(text):,} characters; at most {LONGEST_FILTER:,}")
    terms: list[Term] = []
    place = 0
    while text[place:].strip():
        if terms:
            joined = _AND.match(text, place)
            if not joined:
                raise _malformed(text, place)
            place = joined.end()
        term = _TERM.match(text, place)
        if not term:
            raise _malformed(text, place)
        quoted = term["quoted"]
        value = term["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        terms.append(Term(term["name"], _checked(term["name"], value, names)))
        place = term.end()
    return terms


def _malformed(text: str, place: int) -> InvalidField:
    return InvalidField(
        "filter",
        f"can't be read at {shown(text[place:].strip()[:40])} (character {place + 1}); write terms `name=value` joined "
        'by AND, such as `severity=high AND title="checkout is slow"`',
    )


def _checked(name: str, value: str, names: Mapping[str, Check]) -> str:
    is_prefixed = f"{name.partition('.')[0]}." in names and not name.endswith(".")
    if name.endswith(".") or not (name in names or is_prefixed):
        shown_names = [f"{each}NAME" if each.endswith(".") else each for each in names]
        raise InvalidField(
            "filter", f"can't filter by {shown(name)}{did_you_mean(name, list(names))}; there are {listed(shown_names)}"
        )
    check = names.get(name)
    if isinstance(check, tuple):
        if value.lower() not in check:
            raise InvalidField("filter", f"{name} is {shown(value)}; it must be one of {', '.join(check)}")
        return value.lower()
    if check is not None:
        checked = check(value)
        if checked is None:
            raise InvalidField("filter", f"{name} is {shown(value)}; send a time such as 2026-07-30T14:30:00Z")
        return checked
    return value


def read_time(text: str) -> str | None:
    """Nanoseconds since 1970 of an RFC 3339 time, as text; None if it isn't one."""
    try:
        time = datetime.fromisoformat(text)
        if time.tzinfo is None:
            return None
        nanos = int(time.timestamp()) * SECOND + time.microsecond * 1000
    except (ValueError, OverflowError):
        return None
    return str(nanos) if 0 <= nanos < 2**63 else None


RULE_FILTER: Mapping[str, Check] = {
    "monitor_id": None,
    "severity": SEVERITIES,
    "enabled": ("true", "false"),
    "state": ("firing", "idle"),
    "title": None,
    "notify": None,
    "label.": None,
    "key": None,
}
ALERT_FILTER: Mapping[str, Check] = {
    "monitor_id": None,
    "rule_id": None,
    "severity": SEVERITIES,
    "state": ("firing", "resolved"),
    "acknowledged": ("true", "false"),
    "since": read_time,
}
