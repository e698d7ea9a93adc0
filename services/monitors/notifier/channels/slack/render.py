"""A message as a Slack payload: blocks, and a text for notifications and screen readers."""

import json
from typing import Any

from monitors.notifier.channels.fitting import as_code, escape, fit
from monitors.notifier.channels.text import ICONS, facts, headline, shorten
from monitors.notifier.model.message import Message

MAX_TEXT = 3000
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FACT = 500
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def render(message: Message, now: int) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: `& < >` are escaped, and facts stand as code."""
    title = f"{ICONS[message.kind]} {headline(message)}"
    lines = fit((_fact(label, text) for label, text in facts(message, now)), MAX_SECTION)
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": shorten(title, MAX_HEADER), "emoji": True}},
    ]
    if lines:
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": "\n".join(lines), "verbatim": True}})
    return json.dumps({"text": escape(title, MAX_TEXT, ESCAPES), "blocks": blocks}).encode()


def _fact(label: str, text: str) -> str:
    if label == "Runbook" and len(text) <= MAX_FACT:
        return f"*{label}:* <{escape(text, MAX_SECTION, ESCAPES)}|{escape(text, MAX_FACT, ESCAPES)}>"
    return f"*{label}:* `{escape(as_code(text), MAX_FACT, ESCAPES)}`"
