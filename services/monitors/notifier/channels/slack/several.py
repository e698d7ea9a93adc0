"""Several alerts as a Slack payload."""

from collections.abc import Iterable
from typing import Any

from monitors.notifier.channels.fitting import as_code, escape, fit
from monitors.notifier.channels.slack.render import (
    ESCAPES,
    MAX_HEADER,
    MAX_SECTION,
    in_own_words,
    payload,
    section,
)
from monitors.notifier.channels.summary import counts, headline, line, tail
from monitors.notifier.channels.text import ICONS, length
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle
from monitors.notifier.model.message import Message

MAX_ALL = 12_000
"""Characters of all blocks. Slack refuses messages of more than about 13,200 in all, whatever it documents."""


def render(bundle: Bundle, wording: Wording = USUAL) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: `& < >` are escaped, and alerts stand as code."""
    title = wording.title or f"🔔 {headline(bundle)}"
    if wording.lines is not None:
        return payload(title, [in_own_words(wording.lines)])
    summary = [f"• `{escape(as_code(each), MAX_SECTION // 12, ESCAPES)}`" for each in counts(bundle)]
    room = MAX_ALL - MAX_HEADER - sum(length(each) + 1 for each in summary)
    lines = fit((_entry(entry) for entry in bundle.shown), room)
    left_out = tail(len(bundle.entries) - len(lines))
    blocks = (*_sections(summary), *_sections(lines), *_sections([f"`{left_out}`"] if left_out else []))
    return payload(title, blocks)


def _entry(entry: Message) -> str:
    return f"{ICONS[entry.kind]} `{escape(as_code(line(entry)), MAX_SECTION // 4, ESCAPES)}`"


def _sections(lines: Iterable[str]) -> list[dict[str, Any]]:
    """As few blocks as hold the lines."""
    texts: list[str] = []
    for each in lines:
        if texts and length(texts[-1]) + 1 + length(each) <= MAX_SECTION:
            texts[-1] += f"\n{each}"
        else:
            texts.append(each)
    return [section(text) for text in texts]
