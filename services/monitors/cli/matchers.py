"""Matchers as people write them: what must hold of an alert."""

import re
from collections.abc import Iterable
from typing import Annotated

import typer

from monitors.v1 import notification_pb2

OPERATORS = {
    "=": notification_pb2.MATCH_OPERATOR_EQUAL,
    "!=": notification_pb2.MATCH_OPERATOR_NOT_EQUAL,
    "=~": notification_pb2.MATCH_OPERATOR_MATCH,
    "!~": notification_pb2.MATCH_OPERATOR_NOT_MATCH,
}
_SYMBOLS = {number: symbol for symbol, number in OPERATORS.items()}
# A name has no operator in it, so the first one ends it.
_MATCHER = re.compile(r"\s*([^=!~]+?)\s*(=~|!~|!=|=)\s*(.*)", re.DOTALL)

Of = Annotated[
    list[str] | None,
    typer.Option("--of", metavar="MATCHER", help="Only alerts for which this holds: severity!=critical; repeatable."),
]


def read_matcher(text: str) -> notification_pb2.Matcher:
    """A matcher as people write it; a usage error if it's none."""
    match = _MATCHER.fullmatch(text)
    if match is None:
        raise typer.BadParameter(
            f"{text!r} is no matcher; write NAME=VALUE, NAME!=VALUE, NAME=~REGEX or NAME!~REGEX, such as "
            "monitor_id=checkout or 'severity=~low|medium'"
        )
    return notification_pb2.Matcher(name=match[1], operator=OPERATORS[match[2]], value=match[3])


def matcher_text(matcher: notification_pb2.Matcher) -> str:
    """A matcher as people write it."""
    return f"{matcher.name}{_SYMBOLS.get(matcher.operator, '?')}{matcher.value}"


def matchers_text(matchers: Iterable[notification_pb2.Matcher], joined: str = ", ") -> str:
    """Several, all of which must hold; none hold for all alerts."""
    return joined.join(map(matcher_text, matchers)) or "all alerts"
