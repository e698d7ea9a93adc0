"""Several alerts as an e-mail: plain text, and simple HTML that shows the same."""

from email.message import EmailMessage
from html import escape

from monitors.notifier.channels.email.render import (
    MAX_FACT,
    MAX_SUBJECT,
    envelope,
    heading,
    page,
    paragraph,
    plain_text,
    table,
)
from monitors.notifier.channels.summary import counts, headline, tail
from monitors.notifier.channels.text import facts, shorten
from monitors.notifier.channels.text import headline as headline_of
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle
from monitors.notifier.model.message import Message

MAX_ENTRIES = 50
MAX_TEXT = 100_000
"""Characters of the plain text; the HTML has a small multiple of them."""


def render(
    bundle: Bundle, sender: str, recipients: tuple[str, ...], now: int, wording: Wording = USUAL
) -> EmailMessage:
    """The mail. Its Message-ID is the same at every attempt to tell the same."""
    mail = envelope(bundle.id, shorten(wording.title or headline(bundle), MAX_SUBJECT), sender, recipients, now)
    shown = _shown(bundle, now)
    left_out = tail(len(bundle.entries) - len(shown))
    mail.set_content(plain_text(wording, lambda: _text(bundle, shown, left_out)))
    mail.add_alternative(_html(bundle, shown, left_out, wording), subtype="html")
    return mail


Shown = list[tuple[Message, list[tuple[str, str]]]]
"""Alerts with their facts."""


def _shown(bundle: Bundle, now: int) -> Shown:
    shown: Shown = []
    room = MAX_TEXT
    for entry in bundle.shown[:MAX_ENTRIES]:
        known = [(label, shorten(text, MAX_FACT)) for label, text in facts(entry, now)]
        room -= len(headline_of(entry)) + sum(len(label) + len(text) for label, text in known)
        if room < 0 and shown:
            break
        shown.append((entry, known))
    return shown


def _text(bundle: Bundle, shown: Shown, left_out: str) -> str:
    parts = [headline(bundle), *counts(bundle)]
    for entry, known in shown:
        parts += ["", headline_of(entry), *(f"  {label}: {text}" for label, text in known)]
    return "\n".join([*parts, *(["", left_out] if left_out else [])])


def _html(bundle: Bundle, shown: Shown, left_out: str, wording: Wording) -> str:
    title = f"<h2>{escape(wording.title or headline(bundle))}</h2>"
    if wording.lines is not None:
        return page(f"{title}{paragraph(wording.lines)}")
    summary = "".join(f"<li>{escape(line)}</li>" for line in counts(bundle))
    entries = "".join(f"{heading(entry, 'h3')}{table(known)}" for entry, known in shown)
    end = f"<p>{escape(left_out)}</p>" if left_out else ""
    return page(f"{title}{f'<ul>{summary}</ul>' if summary else ''}{entries}{end}")
