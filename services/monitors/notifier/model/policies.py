"""What tenants set of who is told of their alerts, and when: what silences, mute timings and others have in common."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, TypeVar

from monitors.mesh.errors import EtagMismatch, InvalidField

LONGEST_NAME = 64


@dataclass(frozen=True)
class Entry:
    """One of them. `create_time` is nanoseconds since 1970; `revision` grows with every change."""

    noun: ClassVar[str]
    """What people call it, such as `mute timing`; messages and the audit have `_` for the space."""
    nouns: ClassVar[str]
    """The same of several."""

    tenant: str
    id: str
    create_time: int = field(default=0, kw_only=True)
    revision: int = field(default=1, kw_only=True)

    @property
    def etag(self) -> str:
        """Changes with every change."""
        return hashlib.sha256(f"{self.id}/{self.revision}".encode()).hexdigest()[:12]

    @property
    def label(self) -> str:
        """What names it to people."""
        return self.id

    def check_etag(self, etag: str) -> None:
        """Raises EtagMismatch if an etag was sent and isn't the entry's."""
        if etag and etag != self.etag:
            raise EtagMismatch(self.noun, self.label, etag, self.etag)


@dataclass(frozen=True)
class Named(Entry):
    """One that has a name, which no other of its kind has within the tenant."""

    name: str

    @property
    def label(self) -> str:
        """What names it to people."""
        return self.name


@dataclass(frozen=True)
class Placed(Named):
    """One that has a place among the others of its kind, by which they're looked at."""

    position: int
    """From 1; 0 is behind all others."""


E = TypeVar("E", bound=Entry)
P = TypeVar("P", bound=Placed)


def arranged(others: Sequence[P], entry: P) -> list[P]:
    """All with their places, once one has taken the place that it asks for among the others."""
    place = min(entry.position, len(others) + 1) or len(others) + 1
    listed = [*others[: place - 1], entry, *others[place - 1 :]]
    return [replace(one, position=number) for number, one in enumerate(listed, 1)]


def check_position(position: int, place: str) -> list[InvalidField]:
    """What is wrong with a position, which stands at `place`."""
    if position >= 0:
        return []
    return [InvalidField(place, f"{position} is negative; send 1 for the first, 0 for the last")]


def following(before: E, after: E) -> E:
    """What is remembered after a change: with a new revision, if it changed anything."""
    return after if after == before else replace(after, revision=before.revision + 1)


def check_name(name: str, place: str) -> list[InvalidField]:
    """What is wrong with a name, which stands at `place`."""
    if name.strip() and len(name) <= LONGEST_NAME and name.isprintable():
        return []
    return [InvalidField(place, f"send a name of 1 to {LONGEST_NAME} characters in one line")]
