"""How an alert looks to a person."""

from datetime import UTC, datetime

from monitors.cli.choices import word_of
from monitors.cli.documents import time_text
from monitors.cli.durations import format_age
from monitors.cli.output import format_number, format_pairs, print_facts, print_table
from monitors.mesh.times import SECOND, from_timestamp, now_nanos
from monitors.v1.alert_pb2 import Alert, AlertEvent, AlertEventKind, DeliveryState
from monitors.v1.alert_pb2 import AlertState as State
from monitors.v1.rule_pb2 import Severity
from monitors.v1.rule_service_pb2 import GetAlertResponse

HOLDS = {
    "cooldown": "another message about the same went out within the rule's cooldown",
    "snoozed": "the rule was snoozed",
}
SHOWN_ANNOTATIONS = ("summary", "runbook_url")


def state_of(alert: Alert) -> str:
    """`firing`, `resolved`, or `acknowledged` while it fires and somebody takes care of it."""
    if alert.state == State.ALERT_STATE_FIRING and alert.HasField("acknowledgement"):
        return "acknowledged"
    return word_of(State, alert.state)


def value_of(alert: Alert | AlertEvent) -> str:
    """The value that made it fire, if there was one."""
    return format_number(alert.value) if alert.HasField("value") else ""


def place_of(alert: Alert) -> str:
    """The monitor with the tags that tell this instance from others."""
    tags = format_pairs(alert.group)
    return f"{alert.monitor_id} {tags}" if tags else alert.monitor_id


def held_back(alert: Alert) -> str:
    """Why nobody is, or was, told that it fires, in words; empty if nothing held that back."""
    reason = alert.suppress_reason
    if not reason:
        return ""
    resolved = alert.state == State.ALERT_STATE_RESOLVED
    end = (
        "and it was over before that ended, so nobody was told" if resolved else "and it's told then if it still fires"
    )
    return f"{reason}: {HOLDS.get(reason, 'its message was held back')}, {end}"


def alert_row(alert: Alert) -> tuple[str, ...]:
    """A line for one alert."""
    fired = format_age(from_timestamp(alert.fire_time), now_nanos())
    severity = word_of(Severity, alert.severity)
    return alert.id, state_of(alert), severity, alert.title, place_of(alert), value_of(alert), fired


def show_alert(response: GetAlertResponse) -> None:
    """Prints an alert with its timeline and what was sent about it."""
    alert, now = response.alert, now_nanos()
    acknowledgement = ""
    if alert.HasField("acknowledgement"):
        ack = alert.acknowledgement
        acknowledgement = f"{format_age(from_timestamp(ack.time), now)} by {ack.user}"
        acknowledgement += f": {ack.note}" if ack.note else ""
    resolved = ""
    if alert.HasField("resolve_time"):
        resolved = f"{time_text(alert, 'resolve_time')} ({alert.resolve_reason})"
    print_facts(
        {
            "Alert": alert.id,
            "Title": alert.title,
            "State": word_of(State, alert.state),
            "Severity": word_of(Severity, alert.severity),
            "Monitor": place_of(alert),
            "Rule": alert.rule_id,
            "Condition": alert.condition_text,
            "Value": value_of(alert),
            "True since": time_text(alert, "active_time") or "",
            "Fired": f"{time_text(alert, 'fire_time')}, {format_age(from_timestamp(alert.fire_time), now)}",
            "Resolved": resolved,
            "Acknowledged": acknowledgement,
            "Held back": held_back(alert),
            "Labels": format_pairs(alert.labels),
            "Summary": alert.annotations.get("summary", ""),
            "Runbook": alert.annotations.get("runbook_url", ""),
            "Annotations": format_pairs({k: v for k, v in alert.annotations.items() if k not in SHOWN_ANNOTATIONS}),
        }
    )
    events = [
        (time_text(event, "time") or "", word_of(AlertEventKind, event.kind), value_of(event), event.user, event.detail)
        for event in response.timeline
    ]
    if events:
        print_table(("TIME", "WHAT", "VALUE", "WHO", "DETAIL"), events, whole=("TIME",))
    deliveries = [
        (
            time_text(delivery, "time") or "",
            word_of(AlertEventKind, delivery.kind),
            delivery.channel,
            word_of(DeliveryState, delivery.state),
            str(delivery.attempt_count),
            delivery.detail,
        )
        for delivery in response.deliveries
    ]
    if deliveries:
        print_table(("SENT", "WHAT", "CHANNEL", "STATE", "ATTEMPTS", "DETAIL"), deliveries, whole=("SENT",))


def live_line(alert: Alert, event: AlertEvent) -> str:
    """One line of `alerts watch`: local time, what happened, how bad it is, and what it is about.

    What fires already when the watch begins has no event: its line tells when it fired.
    """
    time = event.time if event.HasField("time") else alert.fire_time
    moment = datetime.fromtimestamp(from_timestamp(time) // SECOND, UTC).astimezone()
    what = word_of(AlertEventKind, event.kind) if event.kind else state_of(alert)
    parts = [f"{moment:%H:%M:%S}", f"{what:<12}", f"{word_of(Severity, alert.severity):<8}", alert.id]
    parts += [f"“{alert.title}”", f"on {place_of(alert)}:", alert.condition_text]
    if value := value_of(event) or value_of(alert):
        parts.append(f"(value {value})")
    if event.detail:
        parts.append(f"– {event.detail}")
    return " ".join(parts)
