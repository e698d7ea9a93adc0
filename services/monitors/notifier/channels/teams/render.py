"""A message as an Adaptive Card in the envelope that the workflows of Microsoft Teams take.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Any

from monitors.notifier.channels.fitting import first_within
from monitors.notifier.channels.text import ICONS, clean, facts, headline, shorten
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.message import Kind, Message
from monitors.notifier.model.picture import Picture

MAX_BODY = 20_000
"""Bytes. Teams refuses 28,672 after it has encoded the message anew, which makes it longer."""
MAX_TITLE = 250
MAX_PICTURE = 9_500
"""Bytes. Written in base64 they leave a third of the message to its text."""
MAX_WORDS = 400
_STYLES = {
    **dict.fromkeys((Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING, Kind.ESCALATED, Kind.NOTICE), "attention"),
    Kind.RESOLVED: "good",
}
# How much of each fact is kept, tried in order until the body is small enough.
_CUTS = (1000, 300, 75)
# What Microsoft's own encoders write as six bytes each, so that no encoding makes it longer than it is here.
_ENCODED = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'+"}


def render(message: Message, now: int, picture: Picture | None = None, wording: Wording = USUAL) -> bytes:
    """The JSON, with the picture if there is room for it. All foreign text stands in runs, which know no Markdown;
    mentions would need an entity of their own."""
    title = wording.title or f"{ICONS[message.kind]} {headline(message)}"
    if wording.lines is not None:
        return in_own_words(title, style_of(message), wording.lines, picture)
    known = facts(message, now)
    runbook = message.runbook_url

    def body(cut: tuple[int, bool]) -> bytes:
        limit, has_picture = cut
        rows = [_fact(label, shorten(text, limit)) for label, text in known]
        if picture and has_picture:
            rows.append(_image(picture))
        link = runbook if len(runbook) <= limit else ""
        return encode(title, style_of(message), rows, link)

    return first_within(map(body, ((limit, has) for limit in _CUTS for has in (True, False))), MAX_BODY)


def style_of(message: Message) -> str:
    """The colour of its headline, as cards name it."""
    return _STYLES.get(message.kind, "default")


def encode(title: str, style: str, rows: Sequence[dict[str, Any]], runbook: str = "") -> bytes:
    """The JSON of a card with a headline, in plain ASCII."""
    shown = shorten(title, MAX_TITLE)
    heading = run(shown, size="large", weight="bolder", color=style)
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "full"},
        "body": [block([heading]), *rows],
    }
    if runbook:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Runbook", "url": runbook}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    payload = {"type": "message", "summary": shown, "attachments": [attachment]}
    return json.dumps(payload, separators=(",", ":")).translate(_ENCODED).encode()


def block(runs: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """A line of text."""
    return {"type": "RichTextBlock", "inlines": list(runs)}


def run(text: str, **looks: str) -> dict[str, Any]:
    """A part of a line, which shows as it is."""
    return {"type": "TextRun", "text": text, **looks}


def in_own_words(title: str, style: str, lines: Sequence[str], picture: Picture | None = None) -> bytes:
    """The JSON of a card with a text as far as it fits, and the picture if there is room for both."""
    rows = [_image(picture)] if picture else []
    texts = [block([run(shorten(line, _CUTS[0]))]) | {"spacing": "small"} for line in lines if line]
    room = MAX_BODY - len(encode(title, style, rows))
    shown: list[dict[str, Any]] = []
    for text in texts:
        room -= len(encode("", "", [text])) - len(encode("", "", [])) + 1
        if room < 0:
            break
        shown.append(text)
    if picture and len(shown) < len(texts):
        return in_own_words(title, style, lines, None)
    return encode(title, style, [*shown, *rows])


def _image(picture: Picture) -> dict[str, Any]:
    """The picture within the card: nothing else could be fetched by whoever sees it."""
    url = f"data:image/png;base64,{b64encode(picture.png).decode()}"
    return {"type": "Image", "url": url, "altText": shorten(clean(picture.words), MAX_WORDS), "size": "stretch"}


def _fact(label: str, text: str) -> dict[str, Any]:
    looks = {"fontType": "monospace"} if label in ("Condition", "Acknowledge") else {}
    return block([run(f"{label}: ", weight="bolder"), run(text, **looks)]) | {"spacing": "small"}
