"""Posts a message, signed, and judges the answer."""

import base64
import hashlib
import hmac

from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND
from monitors.notifier.channels.http import judge_failure, post
from monitors.notifier.channels.webhook import several
from monitors.notifier.channels.webhook.render import render
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.targets import WEBHOOK_SECRET_PREFIX, WebhookTarget

# What says that this very message is wrong. Anything else may pass: a receiver that is being deployed answers 404.
REFUSED = frozenset({400, 413, 415, 422})


async def send(target: WebhookTarget, content: Content, now: int, egress: Egress) -> Outcome:
    """Posts the message. `now` is the time of the attempt, which the signatures cover."""
    seconds = now // SECOND
    body = several.render(content) if isinstance(content, Bundle) else render(content)
    headers = {
        "content-type": "application/json",
        "webhook-id": content.id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(sign(secret, content.id, seconds, body) for secret in target.secrets(now)),
    }
    return await post(egress, target.url, body, headers, judge)


def sign(secret: Secret, identifier: str, seconds: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over id, time and body joined by dots (Standard Webhooks 1.0)."""
    key = base64.b64decode(secret.reveal().removeprefix(WEBHOOK_SECRET_PREFIX))
    signed = b".".join((identifier.encode(), str(seconds).encode(), body))
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()


def judge(answer: Answer) -> Outcome:
    """2xx is delivered and 410 means that nothing is wanted here any more."""
    if 200 <= answer.status < 300:
        return Outcome(OutcomeKind.OK, f"the endpoint answered {answer.status}", answer.status)
    return judge_failure(answer, refused=REFUSED, broken=frozenset({410}))
