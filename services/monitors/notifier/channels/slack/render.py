"""A message as a Slack payload: blocks, and a text for notifications and screen readers."""

import json
from collections.abc import Iterable
from typing import Any

from monitors.notifier.channels.fitting import as_code, escape, fit
from monitors.notifier.channels.text import ICONS, facts, headline, shorten
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.message import Message

MAX_TEXT = 3000
MAX_HEADER = 150
MAX_SECTION = 3000
MAX_FACT = 500
ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def render(message: Message, now: int, wording: Wording = USUAL) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: `& < >` are escaped, and facts stand as code."""
    title = wording.title or f"{ICONS[message.kind]} {headline(message)}"
    if wording.lines is not None:
        return payload(title, [in_own_words(wording.lines)])
    lines = fit((_fact(label, text) for label, text in facts(message, now)), MAX_SECTION)
    return payload(title, [section("\n".join(lines))] if lines else [])


def payload(title: str, blocks: Iterable[dict[str, Any]]) -> bytes:
    """The JSON of a headline and what stands below it."""
    header = {"type": "header", "text": {"type": "plain_text", "text": shorten(title, MAX_HEADER), "emoji": True}}
    return json.dumps({"text": escape(title, MAX_TEXT, ESCAPES), "blocks": [header, *blocks]}).encode()


def section(text: str) -> dict[str, Any]:
    """A block of text that may be formatted."""
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def in_own_words(lines: Iterable[str]) -> dict[str, Any]:
    """A block of plain text, in which nothing can format or mention."""
    text = shorten("\n".join(lines), MAX_SECTION)
    return {"type": "section", "text": {"type": "plain_text", "text": text, "emoji": False}}


def _fact(label: str, text: str) -> str:
    if label == "Runbook" and len(text) <= MAX_FACT:
        return f"*{label}:* <{escape(text, MAX_SECTION, ESCAPES)}|{escape(text, MAX_FACT, ESCAPES)}>"
    return f"*{label}:* `{escape(as_code(text), MAX_FACT, ESCAPES)}`"
