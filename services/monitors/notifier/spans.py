"""The notifier's spans: of taking a notification over, and of each attempt to tell it.

Only what belongs to a trace that is followed has any. Their attributes name tenant, alert, rule, channel and outcome;
what is told, where it's sent and what an endpoint answers is in none of them.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from opentelemetry.trace import Span, SpanKind, StatusCode, get_tracer

from monitors.mesh.spans import Attributes, lasting, named, started, traceparent_of
from monitors.mesh.tracing import TENANT
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.store.claims import Claim
from monitors.v1.notification_pb2 import Notification

ALERTS, RULES, NOTIFICATIONS = "monitors.alert_ids", "monitors.rule_ids", "monitors.notification_ids"
GOOD = frozenset({OutcomeKind.OK, OutcomeKind.ACCEPTED})
_tracer = get_tracer(__name__)


@contextmanager
def taking_in(notifications: Sequence[Notification]) -> Iterator[None]:
    """Surrounds taking notifications over: a span for each that is followed. What comes of a notification follows from
    its span, for it's stored with the place of that."""
    spans = [_taken_in(one) for one in notifications if one.traceparent]
    try:
        yield
    except BaseException as error:
        for span in spans:
            span.set_status(StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        for span in spans:
            span.end()


def _taken_in(notification: Notification) -> Span:
    attributes: Attributes = {
        TENANT: notification.tenant_id,
        ALERTS: [notification.alert.id],
        RULES: [notification.alert.rule_id],
        NOTIFICATIONS: [notification.id],
    }
    span = started(_tracer, "take over", SpanKind.CONSUMER, [notification.traceparent], attributes)
    notification.traceparent = traceparent_of(span) or notification.traceparent
    return span


@contextmanager
def attempting(claim: Claim, content: Content) -> Iterator[tuple[Content, Callable[[Outcome], None]]]:
    """Surrounds an attempt: gives what is sent, which takes the attempt's place in the trace along, and what takes the
    outcome. Where one message tells several notifications, it's in the trace of the first, with links to the others."""
    entries = content.entries if isinstance(content, Bundle) else (content,)
    causes = [one.traceparent for one in entries if one.traceparent]
    if not causes:
        yield content, _ignore
        return
    attributes: Attributes = {
        TENANT: claim.tenant,
        "monitors.channel_id": claim.channel.id,
        "monitors.channel_kind": claim.channel.kind,
        "monitors.delivery_id": claim.delivery_id,
        "monitors.attempt": claim.attempt,
        **named(ALERTS, (one.alert_id for one in entries)),
        **named(RULES, (one.rule_id for one in entries)),
        **named(NOTIFICATIONS, (one.notification_id for one in entries)),
    }
    with lasting(started(_tracer, f"send {claim.channel.kind}", SpanKind.CLIENT, causes, attributes)) as span:
        yield replace(content, traceparent=traceparent_of(span)), lambda outcome: _describe(span, outcome)


def _describe(span: Span, outcome: Outcome) -> None:
    span.set_attribute("monitors.outcome", outcome.kind.name.lower())
    if outcome.status:
        span.set_attribute("http.response.status_code", outcome.status)
    if outcome.kind not in GOOD:
        span.set_status(StatusCode.ERROR, outcome.kind.name.lower())


def _ignore(_: Outcome) -> None:
    """Nobody follows it."""
