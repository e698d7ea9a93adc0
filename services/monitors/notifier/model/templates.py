"""Templates of users: what a message's title and text say, with the names of what is known in double braces.

They are a part of Mustache (https://mustache.github.io/mustache.5.html), which knows no logic: values, and sections
that are shown if there is something, or for each alert. Nothing is included, computed or called, so what one takes is
bounded by its length. The libraries for it show nothing where a name is unknown, don't say where something is wrong,
and escape for HTML alone; here it's plain text that comes of them, and each channel escapes it as all that is foreign.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType
from typing import NoReturn

MOST_OF_TITLE, MOST_OF_BODY = 500, 4_000
"""Characters of a template."""
MOST_WRITTEN = 16_000
"""Characters that come of one; what is more is cut off."""
DEEPEST = 5
ALERTS = "alerts"
VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "event": "what happened: `FIRING`, `STILL FIRING`, `ESCALATED`, `EASED`, `ACKNOWLEDGED`, `RESOLVED`, …",
        "icon": "the same as one character, such as 🔴",
        "severity": "how bad it is: `critical`, `high`, `medium` or `low`",
        "former_severity": "how bad it was before; empty unless that changed",
        "title": "the rule's title",
        "summary": "the rule's annotation `summary`",
        "monitor": "the monitor's id",
        "tags": 'all tags: `{cpu="0", host="a"}`',
        "tags.NAME": "one tag, such as `tags.host`",
        "labels": "all labels of the rule",
        "labels.NAME": "one label, such as `labels.team`",
        "annotations.NAME": "one annotation",
        "condition": "what was compared: `avg(cpu_percent, 1m) > 90`",
        "value": "the value when that was said",
        "time": "when it happened, as all times in UTC: `2026-11-23 14:03:22 UTC`",
        "since": "since when the condition holds",
        "resolved": "when it was over",
        "duration": "for how long it fires, or fired: `12 min 34 s`",
        "reason": "why it's over",
        "user": "who acknowledged it",
        "note": "what they noted",
        "runbook": "the rule's annotation `runbook_url`, if it's an http or https URL",
        "alert_id": "the alert's id",
        "rule_id": "the rule's id",
        "acknowledge": "the command that acknowledges it; empty where there is nothing to acknowledge",
        "headline": "the usual title",
        "facts": "the usual text",
        "count": "how many alerts the message tells of",
    }
)
"""What templates may name, and what it is."""
FILTERS: Mapping[str, str] = MappingProxyType(
    {
        "upper": "in capital letters",
        "lower": "in small letters",
        "truncate N": "at most N characters",
        "round N": "a number with N digits after the point",
        'default "TEXT"': "the text if there is nothing",
    }
)
_TAG = re.compile(r"(?m)^[ \t]*\{\{([#^/])([^{}]*)\}\}[ \t]*(?:\n|\Z)|\{\{([#^/]?)([^{}]*)\}\}")
_NAME = re.compile(r"[a-z_]+|(?:tags|labels|annotations)\.[^\s|.{}][^\s|{}]{0,99}")
_FILTER = re.compile(r'(upper|lower)|(truncate|round)\s+(\d{1,4})|(default)\s+"([^"]*)"')


class TemplateWrong(ValueError):
    """A template can't be used. The text says where, why, and what to write instead."""


@dataclass(frozen=True)
class Filter:
    """Changes a text."""

    name: str
    argument: str = ""

    def apply(self, text: str) -> str:
        """The text, changed."""
        match self.name:
            case "upper":
                return text.upper()
            case "lower":
                return text.lower()
            case "truncate":
                most = int(self.argument)
                return text if len(text) <= most else f"{text[: max(0, most - 1)]}…"[:most]
            case "round":
                return _rounded(text, int(self.argument))
            case _:
                return text or self.argument


@dataclass(frozen=True)
class Value:
    """Shows what a name stands for."""

    name: str
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True)
class Section:
    """Is shown if there is what it names, or if there isn't; that of the alerts is shown for each."""

    name: str
    is_inverted: bool
    inside: tuple["Node", ...]


Node = str | Value | Section


@dataclass(frozen=True)
class Template:
    """A template that was read."""

    nodes: tuple[Node, ...]
    names: frozenset[str]

    @property
    def tells_each(self) -> bool:
        """Whether it says itself what it tells of each of several alerts."""
        return ALERTS in self.names


Known = Mapping[str, str]
"""What names stand for; what isn't there is empty."""


@lru_cache(maxsize=1024)
def read(text: str) -> Template:
    """Reads a template. Raises TemplateWrong."""
    reader = _Reader(text)
    nodes = reader.read()
    return Template(nodes, frozenset(reader.names))


def write(template: Template, known: Known, alerts: Sequence[Known]) -> str:
    """What comes of a template: at most 16,000 characters of plain text, the last an ellipsis if there'd be more."""
    written: list[str] = []
    room = MOST_WRITTEN
    for part in _parts(template.nodes, known, alerts):
        written.append(part)
        room -= len(part)
        if room < 0:
            return f"{''.join(written)[: MOST_WRITTEN - 1]}…"
    return "".join(written)


def _parts(nodes: Sequence[Node], known: Known, alerts: Sequence[Known]) -> Iterator[str]:
    for node in nodes:
        match node:
            case str():
                yield node
            case Value():
                text = known.get(node.name, "")
                for each in node.filters:
                    text = each.apply(text)
                yield text
            case Section(name="alerts", is_inverted=False):
                for alert in alerts:
                    yield from _parts(node.inside, {**known, **alert}, ())
            case Section():
                if node.is_inverted is not bool(known.get(node.name, "")):
                    yield from _parts(node.inside, known, alerts)


class _Reader:
    """Takes a template apart. The sections that are open are kept with where each begins."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._open: list[tuple[str, bool, int, list[Node]]] = [("", False, 0, [])]
        self.names: set[str] = set()

    def read(self) -> tuple[Node, ...]:
        end = 0
        for tag in _TAG.finditer(self._text):
            self._literal(end, tag.start())
            end = tag.end()
            mark, inside = (tag[1], tag[2]) if tag[1] else (tag[3], tag[4])
            self._tag(mark, inside.strip(), self._text.index("{{", tag.start()))
        self._literal(end, len(self._text))
        name, _, start, nodes = self._open[-1]
        if name:
            self._fail(start, f"the section `{{{{#{name}}}}}` isn't closed; write `{{{{/{name}}}}}` where it ends")
        return tuple(nodes)

    def _literal(self, start: int, end: int) -> None:
        text = self._text[start:end]
        if "{{" in text:
            self._fail(start + text.index("{{"), "a `{{` isn't closed; write `}}` behind the name")
        if text.endswith("{") and end < len(self._text):
            self._fail(end - 1, "three braces are one too many: nothing is ever shown unescaped; write two")
        if text:
            self._open[-1][3].append(text)

    def _tag(self, mark: str, inside: str, place: int) -> None:
        if mark == "/":
            self._close(inside, place)
            return
        if not mark and inside[:1] in ("!", ">", "&", "="):
            self._fail(place, f"`{{{{{inside[:1]}` isn't known here; templates have values and sections alone")
        name, *filters = (part.strip() for part in inside.split("|"))
        self._check_name(name, mark, place)
        self.names.add(name)
        if not mark:
            self._open[-1][3].append(Value(name, tuple([self._filter(text, place) for text in filters])))
            return
        if filters:
            self._fail(place, "a section has no filters; write the name alone")
        if len(self._open) > DEEPEST:
            self._fail(place, f"sections are nested more than {DEEPEST} deep; close some before")
        self._open.append((name, mark == "^", place, []))

    def _close(self, name: str, place: int) -> None:
        opened, is_inverted, _, nodes = self._open[-1]
        if name != opened or not name:
            fix = f"write `{{{{/{opened}}}}}` first" if opened else "take it away"
            self._fail(place, f"`{{{{/{name[:40]}}}}}` closes what isn't open; {fix}")
        self._open.pop()
        self._open[-1][3].append(Section(name, is_inverted, tuple(nodes)))

    def _check_name(self, name: str, mark: str, place: int) -> None:
        if name == ALERTS:
            if mark != "#":
                self._fail(place, "`alerts` is a list; write `{{#alerts}}…{{/alerts}}`, with what is told of each")
            if any(opened == ALERTS for opened, *_ in self._open):
                self._fail(place, "`alerts` stands within itself; once is enough")
            return
        whole = _NAME.fullmatch(name)
        if whole and (name in VARIABLES or "." in name):
            return
        near = get_close_matches(name, [*VARIABLES, ALERTS], 1)
        meant = f"did you mean `{near[0]}`? " if near else ""
        known = ", ".join([*VARIABLES, f"#{ALERTS}"])
        self._fail(place, f"`{name[:40]}` isn't known; {meant}Known are {known}")

    def _filter(self, text: str, place: int) -> Filter:
        found = _FILTER.fullmatch(text)
        if not found:
            self._fail(place, f"`| {text[:40]}` isn't a filter; there are {', '.join(FILTERS)}")
        plain, numbered, number, default, words = found.groups()
        return Filter(plain or numbered or default, number or words or "")

    def _fail(self, place: int, why: str) -> NoReturn:
        before = self._text[:place]
        line, column = before.count("\n") + 1, place - (before.rfind("\n") + 1) + 1
        raise TemplateWrong(f"line {line}, column {column}: {why}")


def _rounded(text: str, digits: int) -> str:
    """A number with so many digits after its point; another text as it is."""
    try:
        return f"{float(text):.{min(digits, 20)}f}"
    except ValueError:
        return text
