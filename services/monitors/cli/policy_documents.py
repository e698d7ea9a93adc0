"""The documents that `--json` prints of what a tenant sets of who is told, and when; see `documents`."""

from monitors.cli.choices import word_of
from monitors.cli.documents import Document, duration_text, time_text
from monitors.v1 import notification_pb2, notifier_service_pb2


def silence_document(silence: notification_pb2.Silence) -> Document:
    """A silence."""
    return {
        "id": silence.id,
        "matchers": list(map(matcher_document, silence.matchers)),
        "start_time": time_text(silence, "start_time"),
        "end_time": time_text(silence, "end_time"),
        "comment": silence.comment,
        "creator": silence.creator,
        "etag": silence.etag,
    }


def mute_timing_document(timing: notification_pb2.MuteTiming) -> Document:
    """A mute timing."""
    return {
        "id": timing.id,
        "name": timing.name,
        "matchers": list(map(matcher_document, timing.matchers)),
        "windows": list(map(window_document, timing.windows)),
        "active": timing.active,
        "etag": timing.etag,
    }


def route_document(route: notification_pb2.Route) -> Document:
    """A route."""
    return {
        "id": route.id,
        "name": route.name,
        "position": route.position,
        "matchers": list(map(matcher_document, route.matchers)),
        "channels": list(route.channels),
        "continues": route.continues,
        "etag": route.etag,
    }


def inhibition_document(inhibition: notification_pb2.Inhibition) -> Document:
    """An inhibition."""
    return {
        "id": inhibition.id,
        "name": inhibition.name,
        "source_matchers": list(map(matcher_document, inhibition.source_matchers)),
        "target_matchers": list(map(matcher_document, inhibition.target_matchers)),
        "equal": list(inhibition.equal),
        "enabled": inhibition.enabled,
        "etag": inhibition.etag,
    }


def routing_document(response: notifier_service_pb2.PreviewRoutingResponse) -> Document:
    """Who would be told of an alert."""
    return {
        "routes": list(map(route_document, response.routes)),
        "channels": list(response.channels),
        "problems": list(response.problems),
        "muted_reason": response.muted_reason,
    }


def escalation_policy_document(policy: notification_pb2.EscalationPolicy) -> Document:
    """An escalation policy. Each step counts from when an alert was told first."""
    steps = [{"after": duration_text(step, "after"), "channels": list(step.channels)} for step in policy.steps]
    return {
        "id": policy.id,
        "name": policy.name,
        "position": policy.position,
        "matchers": list(map(matcher_document, policy.matchers)),
        "steps": steps,
        "etag": policy.etag,
    }


def matcher_document(matcher: notification_pb2.Matcher) -> Document:
    """What must hold of an alert."""
    operator = word_of(notification_pb2.MatchOperator, matcher.operator)
    return {"name": matcher.name, "operator": operator, "value": matcher.value}


def window_document(window: notification_pb2.TimeWindow) -> Document:
    """A recurring window of time."""
    return {
        "times": list(window.times),
        "weekdays": list(window.weekdays),
        "days_of_month": list(window.days_of_month),
        "months": list(window.months),
        "years": list(window.years),
        "time_zone": window.time_zone,
    }
