"""What a message says where its channel has templates: plain text, which each channel escapes and cuts as it needs."""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from monitors.mesh.times import MINUTE
from monitors.notifier.channels.summary import headline as headline_of_several
from monitors.notifier.channels.summary import tail
from monitors.notifier.channels.text import (
    ICONS,
    acknowledge_command,
    clean,
    facts,
    format_duration,
    format_tags,
    format_time,
    format_value,
    headline,
    shorten,
    verb,
)
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.message import Kind, Message, Severity
from monitors.notifier.model.templates import ALERTS, Known, Template, TemplateWrong, read, write

log = logging.getLogger(__name__)

MOST_OF_VALUE = 4096
MOST_OF_LINE = 1024
"""Characters, of what a name stands for, and of each line of the usual text."""
MOST_ALERTS = 20
"""How many of several alerts a text tells one by one."""
TEST_MARK = "TEST: "


@dataclass(frozen=True)
class Wording:
    """The title, a single line, and the lines of the text. None is as usual."""

    title: str | None = None
    lines: tuple[str, ...] | None = None
    fault: str = ""
    """Why the usual words are said although there is a template; empty if nothing was wrong."""


USUAL = Wording()


def word(channel: Channel, content: Content, now: int) -> Wording:
    """What the channel's templates make of a message. What is told of the notifier itself, or again in a minimal form,
    is in the usual words; so is everything if a template can't be used."""
    templates = channel.title_template, channel.body_template
    if not any(templates) or content.is_minimal or not _is_about_alerts(content):
        return USUAL
    shown = content.shown[:MOST_ALERTS] if isinstance(content, Bundle) else (_sample_of(content),)
    count = len(content.entries) if isinstance(content, Bundle) else 1
    try:
        title, body = (read(text) if text else None for text in templates)
        names = (title.names if title else frozenset()) | (body.names if body else frozenset())
        known = [{**_known(entry, now, names), "count": f"{count}"} for entry in shown]
        return Wording(
            title=_title(title, content, known) if title else None,
            lines=_lines(body, known, count) if body else None,
        )
    except TemplateWrong as error:
        # It was read when it was stored: by a version that knew more.
        return Wording(fault=f"the usual words were sent, as the channel's template can't be used ({error})")
    except Exception:
        log.exception("a template of the channel %s can't be used by a fault of ours", channel.id)
        return Wording(fault="the usual words were sent, as a fault of ours kept the channel's template from use")


def _is_about_alerts(content: Content) -> bool:
    return isinstance(content, Bundle) or content.is_about_alert or content.kind is Kind.TEST


def _title(template: Template, content: Content, known: Sequence[Known]) -> str | None:
    """A title that speaks of one alert would keep quiet about the others, so several have the usual one then."""
    if isinstance(content, Bundle):
        if not template.names & {"count", ALERTS, "headline"}:
            return None
        known = [{**known[0], "headline": headline_of_several(content)}, *known[1:]]
    written = clean(write(template, known[0], known)).strip()
    mark = TEST_MARK if not isinstance(content, Bundle) and content.kind is Kind.TEST else ""
    return f"{mark}{written}" if written else None


def _lines(template: Template, known: Sequence[Known], count: int) -> tuple[str, ...] | None:
    """A text that doesn't say itself what it tells of each alert is told of each."""
    texts = [write(template, known[0], known)] if template.tells_each else [write(template, each, ()) for each in known]
    left_out = tail(count - len(known))
    lines = _without_gaps([*"\n\n".join(texts).split("\n"), *(["", left_out] if left_out else [])])
    return lines or None


def _without_gaps(lines: Sequence[str]) -> tuple[str, ...]:
    """The lines without what isn't seen, and with one empty line at most between two others."""
    kept: list[str] = []
    for line in (clean(each).rstrip() for each in lines):
        if line or (kept and kept[-1]):
            kept.append(line)
    return tuple(kept if kept[-1:] != [""] else kept[:-1])


def _known(message: Message, now: int, names: Collection[str]) -> dict[str, str]:
    """What those names stand for, each a single line but for the usual text."""
    found = {name: _of(name, message, now) for name in names}
    return {name: shorten(text, MOST_OF_VALUE) for name, text in found.items()}


def _of(name: str, message: Message, now: int) -> str:
    if name in _FACTS:
        return _FACTS[name](message)
    if name == "facts":
        return "\n".join(f"{label}: {shorten(text, MOST_OF_LINE)}" for label, text in facts(message, now))
    kind, _, key = name.partition(".")
    values = {"tags": message.group, "labels": message.labels, "annotations": message.annotations}.get(kind, {})
    return _line(values.get(key, ""))


def _line(text: str) -> str:
    # What is cut off anyway needn't be cleaned.
    return clean(text[: 2 * MOST_OF_VALUE])


def _ended(message: Message) -> int:
    return message.resolve_time if message.kind is Kind.RESOLVED else 0


def _lasted(message: Message) -> str:
    lasted = (_ended(message) or message.event_time) - message.fire_time
    return format_duration(lasted) if message.fire_time and lasted > 0 else ""


def _time(nanos: int) -> str:
    return format_time(nanos) if nanos else ""


_FACTS: Mapping[str, Callable[[Message], str]] = {
    "event": verb,
    "icon": lambda message: ICONS[message.kind],
    "severity": lambda message: message.severity.name.lower(),
    "former_severity": lambda message: message.former_severity.name.lower() if message.former_severity else "",
    "title": lambda message: _line(message.title),
    "summary": lambda message: _line(message.summary),
    "monitor": lambda message: _line(message.monitor_id),
    "tags": lambda message: format_tags(message.group),
    "labels": lambda message: format_tags(message.labels),
    "condition": lambda message: _line(message.condition),
    "value": lambda message: "" if message.value is None else format_value(message.value),
    "time": lambda message: _time(message.event_time),
    "since": lambda message: _time(message.active_time or message.fire_time),
    "resolved": lambda message: _time(_ended(message)),
    "duration": _lasted,
    "reason": lambda message: _line(message.resolve_reason).replace("_", " "),
    "user": lambda message: _line(message.user),
    "note": lambda message: _line(message.note),
    "runbook": lambda message: _line(message.runbook_url),
    "alert_id": lambda message: _line(message.alert_id),
    "rule_id": lambda message: _line(message.rule_id),
    "acknowledge": lambda message: acknowledge_command(message) if message.fires else "",
    "headline": headline,
}


def _sample_of(message: Message) -> Message:
    """What a test of a channel tells: an alert that there might be, so that people see what their templates make."""
    if message.kind is not Kind.TEST:
        return message
    return replace(
        message,
        severity=Severity.HIGH,
        alert_id="alert_example",
        rule_id="rule_example",
        monitor_id="mon_example",
        group={"host": "a"},
        condition="avg(cpu_percent, 5m) > 90",
        value=97.25,
        active_time=message.event_time - 5 * MINUTE,
        fire_time=message.event_time - 5 * MINUTE,
        labels={"team": "ops"},
        annotations={"summary": "An example", "runbook_url": "https://example.org/runbook"},
    )
