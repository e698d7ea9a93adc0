"""Posts a message, signed, and judges the answer."""

import base64
import hmac
from functools import lru_cache

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
    if content.traceparent:
        # Whoever receives it may go on in the same trace (W3C Trace Context).
        headers["traceparent"] = content.traceparent
    return await post(egress, target.url, body, headers, judge)


def sign(secret: Secret, identifier: str, seconds: int, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA256 over id, time and body joined by dots (Standard Webhooks 1.0)."""
    signature = _begun(secret.reveal()).copy()
    signature.update(f"{identifier}.{seconds}.".encode())
    signature.update(body)
    return "v1," + base64.b64encode(signature.digest()).decode()


@lru_cache
def _arrived(status: int) -> Outcome:
    return Outcome(OutcomeKind.OK, f"the endpoint answered {status}", status)


@lru_cache(maxsize=1024)
def _begun(secret: str) -> hmac.HMAC:
    """A signature of nothing yet. It's the same for all messages of a channel, and half of what signing one costs."""
    return hmac.new(base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX)), digestmod="sha256")


def judge(answer: Answer) -> Outcome:
    """2xx is delivered and 410 means that nothing is wanted here any more."""
    if 200 <= answer.status < 300:
        return _arrived(answer.status)
    return judge_failure(answer, refused=REFUSED, broken=frozenset({410}))
