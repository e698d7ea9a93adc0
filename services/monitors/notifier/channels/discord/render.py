"""A message as a Discord payload: the headline as content, which notifications show, and the facts as an embed.

https://docs.discord.com/developers/resources/webhook, https://docs.discord.com/developers/resources/message
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from monitors.notifier.channels.fitting import as_code, escape, fit
from monitors.notifier.channels.text import (
    ICONS,
    clean,
    colour_of,
    facts,
    format_rfc3339,
    headline,
    shorten,
)
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.message import Message
from monitors.notifier.model.picture import NAME, Picture

MAX_CONTENT = 2000
MAX_DESCRIPTION = 4096
MAX_FACT = 500
MAX_LINE = 1000
MAX_WORDS = 1024
# Whatever could format, link, or name somebody.
ESCAPES = {character: f"\\{character}" for character in "\\*_~`|>#-+[]()<@:"}


def render(message: Message, now: int, picture: Picture | None = None, wording: Wording = USUAL) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: it's escaped, and facts stand as code. It shows
    the picture that is sent with it."""
    usual = (_fact(label, text) for label, text in facts(message, now))
    lines = fit(usual if wording.lines is None else in_own_words(wording.lines), MAX_DESCRIPTION)
    icon, title = ("", wording.title) if wording.title else (f"{ICONS[message.kind]} ", headline(message))
    return payload(icon, title, lines, colour_of(message), message.event_time, picture)


def in_own_words(lines: Iterable[str]) -> Iterator[str]:
    """Lines in which nothing can format or mention."""
    return (escape(line, MAX_LINE, ESCAPES) for line in lines)


def payload(
    icon: str, title: str, lines: Sequence[str], colour: str, event_time: int, picture: Picture | None = None
) -> bytes:
    """The JSON of an icon, a headline, and lines that fit into a description."""
    embed: dict[str, Any] = {
        "description": "\n".join(lines),
        "color": int(colour.removeprefix("#"), 16),
        "timestamp": format_rfc3339(event_time),
    }
    content = f"{icon}{escape(title, MAX_CONTENT - len(icon) - 1, ESCAPES)}"
    body: dict[str, Any] = {"content": content, "embeds": [embed] if lines else [], "allowed_mentions": {"parse": []}}
    if picture is not None:
        embed["image"] = {"url": f"attachment://{NAME}"}
        body["attachments"] = [{"id": 0, "filename": NAME, "description": shorten(clean(picture.words), MAX_WORDS)}]
    return json.dumps(body).encode()


def _fact(label: str, text: str) -> str:
    if label == "Runbook" and len(text) <= MAX_FACT:
        return f"**{label}:** <{text}>"
    return f"**{label}:** `{escape(as_code(text), MAX_FACT, {})}`"
