"""YAML as a tree that knows its lines. Scalars stay texts as they were written: what they mean is up to who reads them,
so that a label `1.10` isn't a number and a title `no` isn't false.

Read from the parser's events, which are bounded in depth and in number, also after aliases are followed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from monitors.cli.rule_files.problems import Place, Problems

LARGEST_FILE = 8 * 1024 * 1024
DEEPEST = 20
MOST_NODES = 500_000
NULLS = {"", "~", "null", "Null", "NULL"}


@dataclass(slots=True)
class Node:
    """A part of a file. `size` counts it and all that is in it."""

    place: Place
    size: int = field(default=1, kw_only=True)


@dataclass(slots=True)
class Scalar(Node):
    """A text as it was written; `is_null` if nothing was."""

    text: str
    is_null: bool


@dataclass(slots=True)
class Items(Node):
    """A list."""

    items: list[Node]


@dataclass(slots=True)
class Entries(Node):
    """A mapping, with the places of its names."""

    entries: dict[str, Node]
    places: dict[str, Place]


class _Unreadable(Exception):
    """The file is no YAML that is taken here."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


def read_nodes(file: str, text: str, problems: Problems) -> Node | None:
    """The file's one document; None if it's empty or can't be read, which is then among the problems."""
    if len(text) > LARGEST_FILE:
        problems.add(Place(file, 1), f"has {len(text):,} characters; at most {LARGEST_FILE:,}: split it")
        return None
    try:
        return _Builder(file, problems).document(yaml.parse(text, Loader=_LOADER))
    except _Unreadable as error:
        problems.add(Place(file, error.line), str(error))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problems.add(Place(file, getattr(mark, "line", 0) + 1), f"isn't YAML: {error.problem or error.context}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1 if isinstance(error.position, int) else 1
        problems.add(Place(file, line), f"isn't YAML: {error.reason}")
    return None


# The C parser, where there is one, is ten times as fast.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Builder:
    """Makes nodes of events."""

    def __init__(self, file: str, problems: Problems) -> None:
        self._file, self._problems = file, problems
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def document(self, events: Iterator[Any]) -> Node | None:
        root: Node | None = None
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                if root is not None:
                    raise _Unreadable(_line(event), "a second document begins; put it into its own file")
                root = self._node(next(events), events, 0)
        return None if isinstance(root, Scalar) and root.is_null else root

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        line = _line(event)
        if depth > DEEPEST:
            raise _Unreadable(line, f"is nested more than {DEEPEST} deep")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _Unreadable(line, f"nothing before has the anchor &{event.anchor}")
            return self._counted(self._anchors[event.anchor], line)
        if event.tag is not None and event.tag != "!":
            raise _Unreadable(line, f"the tag {event.tag[:60]!r} isn't taken; leave it out")
        node = self._counted(self._plain_node(event, events, depth), line)
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _counted(self, node: Node, line: int) -> Node:
        if node.size > MOST_NODES:
            raise _Unreadable(line, f"holds more than {MOST_NODES:,} values, counting repeated ones each time")
        return node

    def _plain_node(self, event: Any, events: Iterator[Any], depth: int) -> Node:
        place = Place(self._file, _line(event))
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(place, event.value, event.implicit[0] and event.value in NULLS)
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Node] = []
            size = 1
            while not isinstance(inner := next(events), yaml.SequenceEndEvent):
                items.append(self._node(inner, events, depth + 1))
                size += items[-1].size
            return Items(place, items, size=size)
        return self._entries(place, events, depth)

    def _entries(self, place: Place, events: Iterator[Any], depth: int) -> Entries:
        found = Entries(place, {}, {})
        while not isinstance(inner := next(events), yaml.MappingEndEvent):
            name = self._node(inner, events, depth + 1)
            line = _line(inner)
            value = self._node(next(events), events, depth + 1)
            if not isinstance(name, Scalar):
                raise _Unreadable(line, "a name must be a text")
            if name.text in found.entries:
                before = found.places[name.text].line
                self._problems.add(Place(self._file, line), f"{name.text[:60]!r} is said twice, first in line {before}")
            found.entries[name.text], found.places[name.text] = value, Place(self._file, line)
            found.size += name.size + value.size
        return found
