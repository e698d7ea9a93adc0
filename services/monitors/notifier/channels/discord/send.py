"""Posts a message to Discord and judges the answer."""

import json
import secrets
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

from monitors.mesh.masking import Secret
from monitors.notifier.channels.discord import several
from monitors.notifier.channels.discord.render import render
from monitors.notifier.channels.http import JSON, judge_failure, post, retry_after_seconds
from monitors.notifier.channels.wording import Wording
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.picture import NAME, Picture
from monitors.notifier.model.targets import DiscordTarget

REFUSED, BROKEN = frozenset({400, 413}), frozenset({401, 403, 404, 410})
TOO_LARGE = (b"or fewer in length", b"base_type_max_length")
"""What it says of each field that is longer than it takes, and of all embeds together."""


async def send(
    target: DiscordTarget, content: Content, now: int, egress: Egress, picture: Picture | None, wording: Wording
) -> Outcome:
    """Posts the message."""
    body = several.render(content, wording) if isinstance(content, Bundle) else render(content, now, picture, wording)
    headers = JSON
    if picture is not None:
        body, headers = with_file(body, picture.png)
    return await post(egress, waiting(target.url), body, headers, judge, (target.url,))


def with_file(message: bytes, png: bytes) -> tuple[bytes, dict[str, str]]:
    """The JSON of a message and the file that it shows as multipart/form-data (RFC 7578), and the headers."""
    # Nobody can guess it, so nobody's text can have it.
    boundary = secrets.token_hex(24)
    parts = (
        ('name="payload_json"', "application/json", message),
        (f'name="files[0]"; filename="{NAME}"', "image/png", png),
    )
    body = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {name}\r\nContent-Type: {kind}\r\n\r\n".encode()
        + content + b"\r\n"
        for name, kind, content in parts
    )  # fmt: skip
    return body + f"--{boundary}--\r\n".encode(), {"content-type": f"multipart/form-data; boundary={boundary}"}


def waiting(url: Secret) -> Secret:
    """The URL at which Discord answers when the message is saved: else it says so of what it never saves, too."""
    parts = urlsplit(url.reveal())
    query = dict(parse_qsl(parts.query)) | {"wait": "true"}
    return Secret(parts._replace(query=urlencode(query)).geturl())


def judge(answer: Answer) -> Outcome:
    """Success is a 200 with the message that was saved; how long to wait stands in the body, to the millisecond."""
    said = _read(answer.body)
    if answer.status == 200 and "id" in said:
        return Outcome(OutcomeKind.OK, "Discord has posted it", answer.status)
    if answer.status == 204:
        return Outcome(OutcomeKind.ACCEPTED, "Discord has taken it; whether it's posted isn't told", answer.status)
    outcome = judge_failure(answer, refused=REFUSED, broken=BROKEN, too_large=TOO_LARGE)
    pause = said.get("retry_after")
    if outcome.kind is OutcomeKind.THROTTLED and isinstance(pause, int | float):
        return replace(outcome, retry_after=max(outcome.retry_after, retry_after_seconds(pause)))
    return outcome


def _read(body: bytes) -> dict[str, object]:
    try:
        said = json.loads(body)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
