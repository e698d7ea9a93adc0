"""A message as an e-mail: plain text, and simple HTML that shows the same."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from html import escape

from monitors.mesh.times import SECOND
from monitors.notifier.channels.email.letters import POLICY
from monitors.notifier.channels.text import as_text, clean, colour_of, facts, headline, shorten
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.message import Message
from monitors.notifier.model.picture import NAME, Picture

MAX_SUBJECT = 200
MAX_FACT = 4096
# Mail programs that know nothing of it show what stands with each element.
_DARK = (
    "@media (prefers-color-scheme:dark){.cb3261e{color:#ff8a80!important}.c1e7b34{color:#81c995!important}"
    ".c333333,.label{color:#bbb!important}a{color:#8ab4f8}}"
)
PICTURE_WIDTH = 600
"""As wide as it's shown, in CSS pixels: it has twice as many, for screens that show them."""


def render(
    message: Message,
    sender: str,
    recipients: tuple[str, ...],
    now: int,
    picture: Picture | None = None,
    wording: Wording = USUAL,
) -> EmailMessage:
    """The mail. Its Message-ID is the same at every attempt, and all mails of one alert make a thread."""
    mail = envelope(message.id, shorten(wording.title or headline(message), MAX_SUBJECT), sender, recipients, now)
    if message.alert_id:
        mail["References"] = f"<{clean(message.alert_id).replace(' ', '')}@{_domain(sender)}>"
    text = plain_text(wording, lambda: as_text(message, now))
    if picture is None:
        mail.set_content(text)
        mail.add_alternative(_html(message, now, wording), subtype="html")
        return mail
    mail.set_content(f"{text}\nChart: {clean(picture.words)}")
    identifier = f"chart.{message.id}@{_domain(sender)}"
    mail.add_alternative(_html(message, now, wording, _image(picture, identifier)), subtype="html")
    html = mail.get_body(("html",))
    if html is not None:
        html.add_related(picture.png, "image", "png", cid=f"<{identifier}>", disposition="inline", filename=NAME)
    return mail


def envelope(identifier: str, subject: str, sender: str, recipients: tuple[str, ...], now: int) -> EmailMessage:
    """A mail without content, whose Message-ID is made of a message's id."""
    mail = EmailMessage(policy=POLICY)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = subject
    mail["Date"] = format_datetime(datetime.fromtimestamp(now // SECOND, UTC))
    mail["Message-ID"] = f"<{identifier}@{_domain(sender)}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    return mail


def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2] or "monitors.invalid"


def plain_text(wording: Wording, usual: Callable[[], str]) -> str:
    """The text in the channel's own words, or in the usual ones."""
    return usual() if wording.lines is None else "\n".join(wording.lines)


def _html(message: Message, now: int, wording: Wording, image: str = "") -> str:
    if wording.lines is None:
        content = table((label, shorten(text, MAX_FACT)) for label, text in facts(message, now))
    else:
        content = paragraph(wording.lines)
    return page(f"{heading(message, 'h2', wording.title or '')}{content}{image}")


def paragraph(lines: Iterable[str]) -> str:
    """Lines as they are."""
    text = escape("\n".join(lines))
    return f'<p style="white-space:pre-wrap">{text}</p>'


def _image(picture: Picture, identifier: str) -> str:
    """The picture, which has a light ground of its own."""
    return (
        f'<p><img src="cid:{escape(identifier)}" alt="{escape(clean(picture.words))}" width="{PICTURE_WIDTH}" '
        'style="max-width:100%;height:auto;border-radius:6px"></p>'
    )


def page(content: str) -> str:
    """A whole HTML page, which is readable on light and on dark ground."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        f'<style>{_DARK}</style></head><body style="font-family:sans-serif">{content}</body></html>'
    )


def heading(message: Message, tag: str, title: str = "") -> str:
    """Its headline, or another title, in its colour."""
    colour = colour_of(message)
    mark = f"c{colour.removeprefix('#')}"
    return f'<{tag} class="{mark}" style="color:{colour}">{escape(title or headline(message))}</{tag}>'


def table(known: Iterable[tuple[str, str]]) -> str:
    """Facts as an HTML table."""
    rows = "".join(
        f'<tr><td class="label" style="padding:2px 12px 2px 0;color:#666;vertical-align:top">{escape(label)}</td>'
        f"<td>{_cell(label, text)}</td></tr>"
        for label, text in known
    )
    return f"<table>{rows}</table>"


def _cell(label: str, text: str) -> str:
    if label == "Runbook":
        return f'<a href="{escape(text)}">{escape(text)}</a>'
    return f"<code>{escape(text)}</code>" if label in ("Condition", "Acknowledge") else escape(text)
