"""What is told instead of a message that a receiver has refused as too large: what happened to whom, how bad it is, and
where the rest is found."""

from collections.abc import Mapping
from dataclasses import replace

from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.message import Escalation, Message

MAX_TEXT = 100
MAX_NOTE = 200
MAX_LINK = 300
MAX_TAGS = 3
MAX_TOLD = 3
"""How many of the channels that were told before are named."""
MAX_TAG = 40
"""Characters, of a tag's name and of its value."""


def minimal(content: Content) -> Content:
    """The minimal form, which every channel renders as any other content. Of several alerts the worst stay, and all are
    counted."""
    if isinstance(content, Bundle):
        return replace(content, entries=tuple([_minimal(entry) for entry in content.entries]), is_minimal=True)
    return _minimal(content)


def _minimal(message: Message) -> Message:
    """Title, severity, monitor, ids, times, and a link if there is one."""
    link = message.runbook_url if len(message.runbook_url) <= MAX_LINK else ""
    return replace(
        message,
        title=_short(message.title, MAX_TEXT),
        monitor_id=_short(message.monitor_id, MAX_TEXT),
        group=_few(message.group),
        condition="",
        resolve_reason=_short(message.resolve_reason, MAX_TEXT),
        user=_short(message.user, MAX_TEXT),
        note=_short(message.note, MAX_NOTE),
        escalation=_few_told(message.escalation) if message.escalation else None,
        labels={},
        annotations={"runbook_url": link} if link else {},
        is_minimal=True,
    )


def _few_told(escalation: Escalation) -> Escalation:
    told = tuple([_short(name, MAX_TEXT) for name in escalation.told_before[:MAX_TOLD]])
    return replace(escalation, policy=_short(escalation.policy, MAX_TEXT), told_before=told)


def _few(tags: Mapping[str, str]) -> dict[str, str]:
    return {_short(name, MAX_TAG): _short(tags[name], MAX_TAG) for name in sorted(tags)[:MAX_TAGS]}


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
