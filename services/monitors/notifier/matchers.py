"""Matchers between the contract's messages and the model."""

from collections.abc import Iterable

from monitors.mesh.errors import InvalidField
from monitors.notifier.model.matching import Matcher, Operator
from monitors.v1 import notification_pb2 as pb


def read_matchers(sent: Iterable[pb.Matcher], field: str) -> tuple[Matcher, ...]:
    """The matchers of a message; `field` names them. Raises InvalidField for an operator that isn't known."""
    return tuple(_read(one, f"{field}[{number}]") for number, one in enumerate(sent))


def from_matchers(matchers: Iterable[Matcher]) -> list[pb.Matcher]:
    """The messages."""
    return [
        pb.Matcher(name=one.name, operator=pb.MatchOperator.ValueType(one.operator), value=one.value)
        for one in matchers
    ]


def _read(sent: pb.Matcher, place: str) -> Matcher:
    if sent.operator not in frozenset(map(int, Operator)):
        raise InvalidField(f"{place}.operator", "send one of EQUAL, NOT_EQUAL, MATCH and NOT_MATCH")
    return Matcher(sent.name, Operator(sent.operator), sent.value)
