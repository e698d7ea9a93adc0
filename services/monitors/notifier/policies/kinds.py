"""What a kind of policy is to the calls that make, list, change and delete it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic

from google.protobuf.message import Message

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.notifier.model.checks import shorten
from monitors.notifier.model.policies import E, following
from monitors.notifier.store import escalations, repeats
from monitors.notifier.store.policies import Rows


@dataclass(frozen=True)
class Making:
    """By whom and when an entry is made, and its id."""

    tenant: str
    id: str
    user: str
    now: int


@dataclass(frozen=True)
class Part:
    """A field that may be set: the attribute of the model, and what it becomes. `read` raises InvalidField."""

    attribute: str
    read: Callable[[Any], Any]


def nothing_more(session: Session, entry: Any) -> None:
    """What is right by itself is right."""


def look_again(session: Session, entry: Any, now: int) -> None:
    """What isn't muted any more is told, if it still fires."""
    repeats.look_again(session, entry.tenant, now)
    escalations.look_again(session, entry.tenant, now)


def nothing_begins(session: Session, entry: Any, now: int) -> None:
    """What comes from now on is all that it's about."""


def nothing_left(entry: Any, now: int) -> None:
    """What is deleted is gone."""


@dataclass(frozen=True)
class Kind(Generic[E]):
    """A kind of policy: silences, mute timings…"""

    id_kind: str
    """What its ids begin with."""
    rows: Rows[E]
    parts: Mapping[str, Part]
    """What may be set, by the message's fields."""
    make: Callable[[Making, dict[str, Any]], E]
    """Makes one of the parts that are given."""
    check: Callable[[E | None, E, int], None]
    """Raises InvalidFields if what it was, None if it's new, can't become what it would be, now."""
    show: Callable[[E], Message]
    check_within: Callable[[Session, E], None] = nothing_more
    """The same for what it takes to know what else there is."""
    rest: Callable[[E, int], E | None] = nothing_left
    """What is left of one that is deleted, now; None if that is nothing."""
    begin: Callable[[Session, E, int], None] = nothing_begins
    """What follows from one that was made or changed, now."""
    follow: Callable[[Session, E, int], None] = look_again
    """What is done once one has changed, or is deleted, now."""

    @property
    def field(self) -> str:
        """What it's called in messages and in the audit."""
        return self.rows.kind.noun.replace(" ", "_")

    @property
    def fields(self) -> str:
        """What several are called in messages."""
        return self.rows.kind.nouns.replace(" ", "_")

    def made(self, sent: Any, making: Making) -> E:
        """One to make. Raises InvalidFields."""
        entry = self.make(making, {part.attribute: part.read(sent) for part in self.parts.values()})
        self.check(None, entry, making.now)
        return entry

    def changed(self, before: E, sent: Any, mask: Any, now: int) -> E:
        """What an update makes of one: the fields that the mask names are set, else those that are there. Raises
        InvalidField for a path that isn't known, and InvalidFields."""
        paths = set(mask.paths) or {path for path in self.parts if _is_there(sent, path)}
        for path in sorted(paths.difference(self.parts)):
            raise InvalidField(
                "update_mask", f"{shorten(path)!r} can't be changed; name some of {', '.join(self.parts)}"
            )
        parts = [self.parts[path] for path in self.parts if path in paths]
        after = replace(before, **{part.attribute: part.read(sent) for part in parts})
        self.check(before, after, now)
        return following(before, after)


def _is_there(sent: Message, name: str) -> bool:
    field = sent.DESCRIPTOR.fields_by_name[name]
    return sent.HasField(name) if field.has_presence else bool(getattr(sent, name))
