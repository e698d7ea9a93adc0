"""Hands a mail to SendGrid (Mail Send, v3) and judges its answer.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from monitors.mesh.config import SendGridSettings
from monitors.mesh.masking import Secret
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.channels.http import JSON, judge_failure, post, retry_after_seconds
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.delivery import Outcome, OutcomeKind

PATH = "/v3/mail/send"
# What it doesn't make by itself.
_HEADERS = ("Message-ID", "References", "Auto-Submitted", "X-Auto-Response-Suppress")
_OFF = {"enable": False}


async def send(letters: Sequence[Letter], identifier: str, settings: SendGridSettings, egress: Egress) -> Outcome:
    """Sends letters by one request. It knows no key to drop repeats, so what isn't answered may arrive twice."""
    headers = {**JSON, "authorization": f"Bearer {settings.api_key.reveal()}"}
    body = json.dumps(payload(letters, identifier)).encode()
    return await post(egress, Secret(f"{settings.url}{PATH}"), body, headers, judge, (settings.api_key,))


def payload(letters: Sequence[Letter], identifier: str) -> dict[str, Any]:
    """The request for letters of one mail: what SendGrid makes by itself is left out."""
    mail = letters[0].mail
    name, address = parseaddr(str(mail["From"]))
    contents = []
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        if part is not None:
            contents.append({"type": f"text/{kind}", "value": part.get_content()})
    pictures = [
        {
            "content": base64.b64encode(part.get_content()).decode(),
            "type": part.get_content_type(),
            "filename": part.get_filename(),
            "disposition": "inline",
            "content_id": str(part["Content-ID"]).strip("<>"),
        }
        for part in mail.walk()
        if part.get_content_maintype() == "image"
    ]
    return {
        "personalizations": [_personalization(letter) for letter in letters],
        "from": {"email": address, **({"name": name} if name else {})},
        "subject": str(mail["Subject"]),
        "content": contents,
        **({"attachments": pictures} if pictures else {}),
        "headers": {header: str(mail[header]) for header in _HEADERS if header in mail},
        # By which its events say what became of the mail.
        "custom_args": {"message_id": identifier},
        # Links stay as they are, and nobody is followed.
        "tracking_settings": {"click_tracking": _OFF, "open_tracking": _OFF},
    }


def _personalization(letter: Letter) -> dict[str, Any]:
    # An address that differs in its case alone is refused as a second one.
    unique = {one.lower(): one for one in letter.addresses}.values()
    to: dict[str, Any] = {"to": [{"email": one} for one in unique]}
    return to | ({"headers": dict(letter.headers)} if letter.headers else {})


def judge(answer: Answer) -> Outcome:
    """202 says that it's queued, also for addresses to which SendGrid then sends nothing."""
    if answer.status == 202:
        number = answer.headers.get("x-message-id", "")
        said = f" as {number}" if number.isascii() and number.isprintable() and 0 < len(number) <= 100 else ""
        return Outcome(OutcomeKind.ACCEPTED, f"SendGrid has queued it{said}", answer.status)
    if answer.status in (401, 403):
        # The tenant's channel is well: what's wrong is the operator's to mend.
        why = "SendGrid refused the key or the sender; the operator checks SENDGRID_API_KEY and SENDGRID_FROM"
        return Outcome(OutcomeKind.RETRYABLE, why, answer.status)
    outcome = judge_failure(answer, refused=frozenset({400, 413}), broken=frozenset())
    if outcome.kind is OutcomeKind.THROTTLED:
        return replace(outcome, retry_after=max(outcome.retry_after, _until_reset(answer, datetime.now(UTC))))
    return outcome


def _until_reset(answer: Answer, now: datetime) -> int:
    """How long it takes until it takes more, in nanoseconds; it says when, in seconds since 1970."""
    try:
        return retry_after_seconds(float(answer.headers.get("x-ratelimit-reset", "")) - now.timestamp())
    except ValueError:
        return 0
