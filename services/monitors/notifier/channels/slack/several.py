"""Several alerts as a Slack payload."""

import json
from collections.abc import Iterable
from typing import Any

from monitors.notifier.channels.slack.render import MAX_HEADER, MAX_SECTION, MAX_TEXT, escape
from monitors.notifier.channels.summary import counts, headline, line, tail
from monitors.notifier.channels.text import ICONS, shorten
from monitors.notifier.model.bundle import Bundle

MAX_ALL = 12_000
"""Characters of all blocks. Slack refuses messages of more than about 13,200 in all, whatever it documents."""


def render(bundle: Bundle) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: `& < >` are escaped, and alerts stand as code."""
    title = f"🔔 {headline(bundle)}"
    summary = [f"• {escape(each, MAX_SECTION // 12)}" for each in counts(bundle)]
    room = MAX_ALL - MAX_HEADER - sum(len(each) + 1 for each in summary)
    lines: list[str] = []
    for entry in bundle.shown:
        shown = f"{ICONS[entry.kind]} `{escape(line(entry).replace('`', 'ˋ'), MAX_SECTION // 4)}`"
        room -= len(shown) + 1
        if room < 0:
            break
        lines.append(shown)
    left_out = tail(len(bundle.entries) - len(lines))
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": shorten(title, MAX_HEADER), "emoji": True}},
        *_sections(summary),
        *_sections(lines),
        *_sections([f"`{left_out}`"] if left_out else []),
    ]
    return json.dumps({"text": escape(title, MAX_TEXT), "blocks": blocks}).encode()


def _sections(lines: Iterable[str]) -> list[dict[str, Any]]:
    """As few blocks as hold the lines."""
    texts: list[str] = []
    for each in lines:
        if texts and len(texts[-1]) + 1 + len(each) <= MAX_SECTION:
            texts[-1] += f"\n{each}"
        else:
            texts.append(each)
    return [{"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}} for text in texts]
