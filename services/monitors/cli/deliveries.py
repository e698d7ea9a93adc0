"""`monitors deliveries`: what was sent, waits or failed."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.alert_views import held_back
from monitors.cli.choices import DeliveryState, word_of
from monitors.cli.client import Mesh, connected, new_request_id
from monitors.cli.durations import format_age, format_duration
from monitors.cli.failures import Failure
from monitors.cli.options import AsJson, Limit, PageToken, read_duration
from monitors.cli.output import print_facts, print_json, print_table, say, tell
from monitors.mesh.times import MINUTE, from_duration, from_timestamp, now_nanos, to_timestamp
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.alert_pb2 import AlertEventKind
from monitors.v1.alert_pb2 import DeliveryState as State
from monitors.v1.notification_pb2 import Delivery, DeliveryAttempt, DeliveryOutcome, Escalation
from monitors.v1.rule_service_pb2 import GetAlertRequest

app = typer.Typer(no_args_is_help=True, help="What was sent, waits or failed.")

DELIVERY_COLUMNS = ("ID", "WHAT", "CHANNEL", "STATE", "TRIES", "SINCE", "ALERT", "DETAIL")
DELIVERY_FACTS = tuple(name.capitalize() for name in DELIVERY_COLUMNS)
MOST_ALONG = 50
DELIVERY_WHOLE = ("ID", "WHAT", "STATE", "TRIES", "SINCE", "ALERT")


@app.command("list")
def list_deliveries(
    alert: Annotated[str, typer.Option("--alert", metavar="ID", help="Only about this alert.")] = "",
    channel: Annotated[str, typer.Option("--channel", metavar="NAME", help="Only to this channel.")] = "",
    state: Annotated[DeliveryState | None, typer.Option("--state", case_sensitive=False)] = None,
    told_with: Annotated[
        str, typer.Option("--told-with", metavar="ID", help="Only what the same message told as this delivery.")
    ] = "",
    attempts: Annotated[bool, typer.Option("--attempts", help="With --json: also every attempt.")] = False,
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show the deliveries, newest first. What a cooldown or a snooze holds back isn't there: `alerts show` says so."""
    request = pb.ListDeliveriesRequest(
        alert_id=alert,
        channel=channel,
        told_with=told_with,
        include_attempts=attempts,
        page_size=limit,
        page_token=page_token,
    )
    if state is not None:
        request.state = state.proto
    with connected() as mesh:
        response = mesh.call(mesh.notifier.ListDeliveries, request)
        held = "" if as_json or response.deliveries or not alert else _held_back(mesh, alert)
    if as_json:
        items = [documents.delivery_document(delivery) for delivery in response.deliveries]
        print_json({"deliveries": items, "next_page_token": response.next_page_token})
        return
    if not response.deliveries:
        tell("Nothing was sent." if not (alert or channel or state or told_with) else "No delivery matches.")
        if held:
            tell(f"The alert's message isn't there: {held}")
        return
    now = now_nanos()
    rows = [delivery_row(delivery, now) for delivery in response.deliveries]
    print_table(DELIVERY_COLUMNS, rows, whole=DELIVERY_WHOLE)
    if response.next_page_token:
        tell(f"There are more: use a larger --limit, or --page-token {response.next_page_token}")


def _held_back(mesh: Mesh, alert_id: str) -> str:
    """Why there is no message about an alert; empty if nothing holds it back, or that can't be said: the deliveries
    themselves were answered."""
    try:
        return held_back(mesh.call(mesh.rules.GetAlert, GetAlertRequest(alert_id=alert_id)).alert)
    except Failure:
        # The key may be for channels alone, and a service that runs on its own knows no alerts.
        return ""


def delivery_row(delivery: Delivery, now: int) -> tuple[str, ...]:
    """A line for one delivery."""
    kind = word_of(AlertEventKind, delivery.kind)
    state = word_of(State, delivery.state)
    since = format_age(from_timestamp(delivery.update_time), now)
    tries = str(delivery.attempt_count)
    return delivery.id, kind, delivery.channel, state, tries, since, delivery.alert_id, delivery.detail


@app.command()
def show(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="The delivery's id, dlv_….")], as_json: AsJson = False
) -> None:
    """Show a delivery, every attempt, and what was told along with it."""
    with connected() as mesh:
        delivery = mesh.call(mesh.notifier.GetDelivery, pb.GetDeliveryRequest(delivery_id=delivery_id)).delivery
        others, is_cut = told_along(mesh, delivery)
    if as_json:
        along = [other.id for other in others]
        print_json({"delivery": documents.delivery_document(delivery), "told_along": along, "told_more": is_cut})
        return
    now = now_nanos()
    facts = dict(zip(DELIVERY_FACTS, delivery_row(delivery, now), strict=True))
    if delivery.HasField("escalation"):
        facts["Escalation"] = escalation_text(delivery.escalation)
    print_facts({**facts, **({"Message": delivery.message_id} if delivery.message_id else {})})
    if delivery.attempts:
        rows = [attempt_row(attempt, now) for attempt in delivery.attempts]
        print_table(("TRIED", "TOOK", "OUTCOME", "STATUS", "DETAIL"), rows, whole=("TRIED", "TOOK", "OUTCOME"))
    if others:
        say("Told by the same message:")
        rows = [delivery_row(other, now)[:-1] for other in others]
        print_table(DELIVERY_COLUMNS[:-1], rows, whole=DELIVERY_WHOLE)
    if is_cut:
        tell(f"There are more: monitors deliveries list --told-with {delivery.id} --limit 1000")


def escalation_text(escalation: Escalation) -> str:
    """How far an escalation had come, as the message says it, and by which policy."""
    waited = format_duration(from_duration(escalation.unacknowledged_duration) // MINUTE * MINUTE)
    told = ", ".join(escalation.told_before) or "nobody"
    return (
        f"not acknowledged for {waited}, step {escalation.step} of {escalation.step_count} of {escalation.policy!r}, "
        f"told before: {told}"
    )


def told_along(mesh: Mesh, delivery: Delivery) -> tuple[list[Delivery], bool]:
    """Other deliveries that the same message told, and whether there are more than are shown."""
    if not delivery.message_id:
        return [], False
    request = pb.ListDeliveriesRequest(told_with=delivery.id, page_size=MOST_ALONG + 1)
    found = mesh.call(mesh.notifier.ListDeliveries, request)
    # A notifier of the former version lists everything.
    others = [one for one in found.deliveries if one.message_id == delivery.message_id and one.id != delivery.id]
    return others[:MOST_ALONG], bool(found.next_page_token)


def attempt_row(attempt: DeliveryAttempt, now: int) -> tuple[str, ...]:
    """A line for one attempt."""
    started, ended = from_timestamp(attempt.start_time), from_timestamp(attempt.end_time)
    outcome = word_of(DeliveryOutcome, attempt.outcome)
    took = f"{(ended - started) // 1_000_000} ms"
    return format_age(started, now), took, outcome, str(attempt.status or ""), attempt.detail


@app.command()
def retry(
    delivery_id: Annotated[str, typer.Argument(metavar="[ID]", help="The delivery's id, dlv_….")] = "",
    channel: Annotated[str, typer.Option("--channel", metavar="NAME", help="All that went to this channel.")] = "",
    alert: Annotated[str, typer.Option("--alert", metavar="ID", help="All that was about this alert.")] = "",
    state: Annotated[
        DeliveryState | None, typer.Option("--state", case_sensitive=False, help="dead or suppressed; else both.")
    ] = None,
    since: Annotated[
        int | None,
        typer.Option("--since", parser=read_duration, metavar="DURATION", help="All that was made since, such as 24h."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Try a dead or suppressed delivery once more, or with --since all of them."""
    if bool(delivery_id) == (since is not None):
        raise typer.BadParameter("give either the ID of one delivery, or --since for all that were made since")
    if since is None:
        _retry_one(delivery_id, as_json)
        return
    request = pb.RetryDeliveriesRequest(
        channel=channel, alert_id=alert, since_time=to_timestamp(now_nanos() - since), request_id=new_request_id()
    )
    if state is not None:
        request.state = state.proto
    with connected() as mesh:
        response = mesh.call(mesh.notifier.RetryDeliveries, request)
    if as_json:
        counts = {"retried_count": response.retried_count, "skipped_count": response.skipped_count}
        print_json({**counts, "has_more": response.has_more})
        return
    say(f"Waiting to be sent again: {response.retried_count}")
    if response.skipped_count:
        tell(f"{response.skipped_count} stay as they are: their channels are turned off or gone.")
    if response.has_more:
        tell("There are more: run it again.")


def _retry_one(delivery_id: str, as_json: bool) -> None:
    with connected() as mesh:
        request = pb.RetryDeliveryRequest(delivery_id=delivery_id, request_id=new_request_id())
        delivery = mesh.call(mesh.notifier.RetryDelivery, request).delivery
    if as_json:
        print_json({"delivery": documents.delivery_document(delivery)})
    else:
        say(f"{delivery.id} to {delivery.channel} is {word_of(State, delivery.state)}")
