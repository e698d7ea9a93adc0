"""What a message says where its channel has templates: plain text, which each channel escapes and cuts as it needs."""

import logging
from collections.abc import Sequence
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
        known = [{"count": f"{count}", **_known(entry, now)} for entry in shown]
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


def _known(message: Message, now: int) -> dict[str, str]:
    """What the names of templates stand for, each a single line but for the usual text."""
    about = facts(message, now)
    began = message.active_time or message.fire_time
    ended = message.resolve_time if message.kind is Kind.RESOLVED else 0
    lasted = max(0, (ended or message.event_time) - message.fire_time) if message.fire_time else 0
    found = {
        "event": verb(message),
        "icon": ICONS[message.kind],
        "severity": message.severity.name.lower(),
        "former_severity": message.former_severity.name.lower() if message.former_severity else "",
        "title": clean(message.title),
        "summary": clean(message.summary),
        "monitor": clean(message.monitor_id),
        "tags": format_tags(message.group),
        "labels": format_tags(message.labels),
        "condition": clean(message.condition),
        "value": "" if message.value is None else format_value(message.value),
        "time": format_time(message.event_time),
        "since": format_time(began) if began else "",
        "resolved": format_time(ended) if ended else "",
        "duration": format_duration(lasted) if lasted else "",
        "reason": clean(message.resolve_reason).replace("_", " "),
        "user": clean(message.user),
        "note": clean(message.note),
        "runbook": clean(message.runbook_url),
        "alert_id": clean(message.alert_id),
        "rule_id": clean(message.rule_id),
        "acknowledge": acknowledge_command(message) if message.fires else "",
        "headline": headline(message),
    }
    for kind, values in (("tags", message.group), ("labels", message.labels), ("annotations", message.annotations)):
        found |= {f"{kind}.{name}": clean(value) for name, value in values.items()}
    known = {name: shorten(text, MOST_OF_VALUE) for name, text in found.items()}
    usual = [f"{label}: {shorten(text, MOST_OF_VALUE)}" for label, text in about]
    return known | {"facts": "\n".join(usual)}


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
