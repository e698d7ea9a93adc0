"""A message as a Slack payload: blocks, and a text for notifications and screen readers."""

import json
from typing import Any

from monitors.notifier.channels.text import ICONS, clean, facts, headline, shorten
from monitors.notifier.model.message import Message

MAX_TEXT = 3000
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FACT = 500
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def render(message: Message, now: int) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: `& < >` are escaped, and facts stand as code."""
    title = f"{ICONS[message.kind]} {headline(message)}"
    lines: list[str] = []
    room = MAX_SECTION
    for label, text in facts(message, now):
        line = _fact(label, text)
        if len(line) + 1 > room:
            break
        lines.append(line)
        room -= len(line) + 1
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": shorten(title, MAX_HEADER), "emoji": True}},
    ]
    if lines:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines), "verbatim": True}})
    return json.dumps({"text": escape(title, MAX_TEXT), "blocks": blocks}).encode()


def _fact(label: str, text: str) -> str:
    if label == "Runbook" and len(text) <= MAX_FACT and not set(text) & set("|<> "):
        return f"*{label}:* <{escape(text, MAX_SECTION)}|{escape(text, MAX_FACT)}>"
    # A backtick would end the code, and inside of it nothing else means anything.
    return f"*{label}:* `{escape(clean(text).replace('`', 'ˋ'), MAX_FACT)}`"


def escape(text: str, limit: int) -> str:
    """At most `limit` characters with `& < >` escaped; an entity is never cut in two."""
    escaped = [_ENTITIES.get(character, character) for character in text[: limit + 1]]
    if len(text) <= limit and sum(map(len, escaped)) <= limit:
        return "".join(escaped)
    kept: list[str] = []
    room = limit - 1
    for part in escaped:
        if len(part) > room:
            break
        kept.append(part)
        room -= len(part)
    return "".join(kept) + "…"
