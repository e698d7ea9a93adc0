"""What the channels that speak HTTP share: posting, and judging an answer that isn't success."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlsplit

from monitors.mesh.masking import MASK, Secret
from monitors.mesh.times import SECOND
from monitors.notifier.channels.text import clean, shorten
from monitors.notifier.egress import Answer, Egress, Forbidden, NotReached, Unanswered
from monitors.notifier.model.delivery import Outcome, OutcomeKind

MAX_EXCERPT = 200
JSON = {"content-type": "application/json; charset=utf-8"}
FORBIDDEN = (
    "the channel's URL names a host inside of a network, where this notifier may not send: update the channel with the "
    "URL of an endpoint on the internet, or have the operator set MONITORS_ALLOW_LOCAL_TARGETS"
)
THROTTLING = frozenset({429, 503})
_TOO_LARGE = re.compile(rb"too[ _-]?(large|long|big)|exceed(s|ed)? .{0,40}(size|length|limit|maximum)")


async def post(
    egress: Egress,
    url: Secret,
    body: bytes,
    headers: Mapping[str, str],
    judge: Callable[[Answer], Outcome],
    secrets: Sequence[Secret] = (),
) -> Outcome:
    """Posts and returns what came of it, the URL's secret parts and other `secrets` removed from the words."""
    try:
        answer = await egress.post(url.reveal(), body, headers)
    except Forbidden:
        return Outcome(OutcomeKind.CONFIGURATION_BROKEN, FORBIDDEN)
    except NotReached:
        return Outcome(OutcomeKind.RETRYABLE, "the endpoint can't be reached, or its address isn't allowed")
    except Unanswered:
        return Outcome(OutcomeKind.AMBIGUOUS, "the endpoint didn't answer; whether it has the message is unknown")
    outcome = judge(answer)
    detail = _redact(outcome.detail, url, secrets)
    return outcome if detail == outcome.detail else replace(outcome, detail=detail)


def judge_failure(
    answer: Answer, *, refused: frozenset[int], broken: frozenset[int], too_large: Sequence[bytes] = ()
) -> Outcome:
    """The outcome of an answer that isn't success: unless it's named, it's taken as a passing fault.

    413 says that the message is too large, and so do usual words in the body of a status that is `refused`; `too_large`
    are further ones, in small letters, of a provider that has its own. Then the message's minimal form is sent, for
    which a channel has to do nothing but to render what it's given.
    """
    excerpt = clean(answer.body.decode(errors="replace"))
    said = f": {shorten(excerpt, MAX_EXCERPT)}" if excerpt.strip() else ""
    detail = f"the endpoint answered {answer.status}{said}"
    retry_after = parse_retry_after(answer.retry_after, datetime.now(UTC))
    if answer.status in broken:
        kind = OutcomeKind.CONFIGURATION_BROKEN
    elif answer.status == 413 or (answer.status in refused and _says_too_large(answer.body, too_large)):
        kind = OutcomeKind.TOO_LARGE
    elif answer.status in refused:
        kind = OutcomeKind.FINAL
    elif answer.status == 429 or (answer.status in THROTTLING and retry_after):
        kind = OutcomeKind.THROTTLED
    else:
        kind = OutcomeKind.RETRYABLE
    return Outcome(kind, detail, answer.status, retry_after)


def _says_too_large(body: bytes, words: Sequence[bytes]) -> bool:
    said = body.lower()
    return bool(_TOO_LARGE.search(said)) or any(word in said for word in words)


def parse_retry_after(text: str, now: datetime) -> int:
    """A Retry-After header (seconds, also with a fraction, or a date) as nanoseconds from now; 0 if it says nothing."""
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError):
            return 0
    return retry_after_seconds(seconds)


def retry_after_seconds(seconds: float) -> int:
    """A wait that a receiver wants, as nanoseconds."""
    # Beyond a day it's capped anyway, and infinity has no nanoseconds.
    return int(min(max(seconds, 0.0), 86_400.0) * SECOND) if seconds == seconds else 0


def _redact(text: str, url: Secret, secrets: Sequence[Secret]) -> str:
    for secret in (*_parts(url.reveal()), *[each.reveal() for each in secrets]):
        if len(secret) > 3 and secret in text:
            text = text.replace(secret, MASK)
    return text


@lru_cache(maxsize=1024)
def _parts(url: str) -> tuple[str, ...]:
    """What of a URL is secret: all of it, and what follows the host, the longer first."""
    parts = urlsplit(url)
    return url, f"{parts.path}?{parts.query}", parts.path, parts.query
