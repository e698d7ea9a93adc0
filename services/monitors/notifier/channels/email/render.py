"""A message as an e-mail: plain text, and simple HTML that shows the same."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from html import escape

from monitors.mesh.times import SECOND
from monitors.notifier.channels.text import as_text, clean, facts, headline, shorten
from monitors.notifier.model.message import Kind, Message

MAX_SUBJECT = 200
MAX_FACT = 4096
_COLOURS = {
    **dict.fromkeys((Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING, Kind.NOTICE), "#b3261e"),
    Kind.RESOLVED: "#1e7b34",
}


def render(message: Message, sender: str, recipients: tuple[str, ...], now: int) -> EmailMessage:
    """The mail. Its Message-ID is the same at every attempt, and all mails of one alert make a thread."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "monitors.invalid"
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Subject"] = shorten(headline(message), MAX_SUBJECT)
    mail["Date"] = format_datetime(datetime.fromtimestamp(now // SECOND, UTC))
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    if message.alert_id:
        mail["References"] = f"<{clean(message.alert_id).replace(' ', '')}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["X-Auto-Response-Suppress"] = "All"
    mail.set_content(as_text(message, now))
    mail.add_alternative(_html(message, now), subtype="html")
    return mail


def _html(message: Message, now: int) -> str:
    rows = "".join(
        f'<tr><td style="padding:2px 12px 2px 0;color:#666;vertical-align:top">{escape(label)}</td>'
        f"<td>{_cell(label, shorten(text, MAX_FACT))}</td></tr>"
        for label, text in facts(message, now)
    )
    colour = _COLOURS.get(message.kind, "#333")
    return (
        '<!doctype html><html><body style="font-family:sans-serif">'
        f'<h2 style="color:{colour}">{escape(headline(message))}</h2><table>{rows}</table></body></html>'
    )


def _cell(label: str, text: str) -> str:
    if label == "Runbook":
        return f'<a href="{escape(text)}">{escape(text)}</a>'
    return f"<code>{escape(text)}</code>" if label in ("Condition", "Acknowledge") else escape(text)
