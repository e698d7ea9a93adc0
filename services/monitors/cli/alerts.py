"""`monitors alerts`: what fires, what did, and who takes care of it."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.alert_views import alert_row, show_alert
from monitors.cli.choices import AlertState, Severity
from monitors.cli.client import connected, new_request_id
from monitors.cli.monitors import tell_of_more
from monitors.cli.options import AsJson, Filter, Limit, PageToken, filter_of, flag_text, read_moment
from monitors.cli.output import print_json, print_table, say, tell
from monitors.mesh.times import to_timestamp
from monitors.v1 import rule_service_pb2 as pb

app = typer.Typer(no_args_is_help=True, help="What fires, what did, and who takes care of it.")

AlertId = Annotated[str, typer.Argument(metavar="ID", help="The alert's id, alert_….")]


@app.command("list")
def list_alerts(
    monitor: Annotated[str | None, typer.Option("--monitor", help="Only of this monitor.")] = None,
    rule: Annotated[str | None, typer.Option("--rule", metavar="ID", help="Only of this rule.")] = None,
    severity: Annotated[Severity | None, typer.Option("--severity", case_sensitive=False)] = None,
    state: Annotated[AlertState | None, typer.Option("--state", case_sensitive=False)] = None,
    acknowledged: Annotated[bool | None, typer.Option("--acknowledged/--unacknowledged")] = None,
    since: Annotated[
        int | None,
        typer.Option("--since", parser=read_moment, metavar="TIME", help="Only fired since then: 2h, or RFC 3339."),
    ] = None,
    more: Filter = "",
    limit: Limit = 50,
    page_token: PageToken = "",
    as_json: AsJson = False,
) -> None:
    """Show the alerts, newest first."""
    with connected() as mesh:
        terms = {
            "monitor_id": monitor,
            "rule_id": rule,
            "severity": severity,
            "state": state,
            "acknowledged": flag_text(acknowledged),
            "since": None if since is None else to_timestamp(since).ToJsonString(),
        }
        request = pb.ListAlertsRequest(page_size=limit, page_token=page_token, filter=filter_of(terms, more))
        response = mesh.call(mesh.rules.ListAlerts, request)
    if as_json:
        print_json(
            {
                "alerts": [documents.alert_document(alert) for alert in response.alerts],
                "total_count": response.total_count,
                "total_count_is_capped": response.total_count_is_capped,
                "next_page_token": response.next_page_token,
            }
        )
    elif not response.alerts:
        tell("No alert matches." if request.filter else "No alert so far.")
    else:
        print_table(
            ("ID", "STATE", "SEVERITY", "TITLE", "MONITOR", "VALUE", "FIRED"),
            [alert_row(alert) for alert in response.alerts],
            whole=("ID", "SEVERITY", "VALUE"),
        )
        total = f"{'more than ' if response.total_count_is_capped else ''}{response.total_count}"
        tell_of_more(len(response.alerts), total, response.next_page_token)


@app.command()
def show(alert_id: AlertId, as_json: AsJson = False) -> None:
    """Show one alert with its timeline and what was sent about it."""
    with connected() as mesh:
        response = mesh.call(mesh.rules.GetAlert, pb.GetAlertRequest(alert_id=alert_id))
    if as_json:
        print_json(
            {
                "alert": documents.alert_document(response.alert),
                "timeline": [documents.event_document(event) for event in response.timeline],
                "deliveries": [documents.alert_delivery_document(delivery) for delivery in response.deliveries],
            }
        )
    else:
        show_alert(response)


@app.command()
def ack(
    alert_ids: Annotated[list[str], typer.Argument(metavar="ID…", help="The alerts' ids.")],
    note: Annotated[str, typer.Option("--note", help="What the others should know.")] = "",
    as_json: AsJson = False,
) -> None:
    """Say that you take care of alerts."""
    with connected() as mesh:
        request = pb.AcknowledgeAlertsRequest(alert_ids=alert_ids, note=note, request_id=new_request_id())
        response = mesh.call(mesh.rules.AcknowledgeAlerts, request)
    before = list(response.already_acknowledged_ids)
    if as_json:
        alerts = [documents.alert_document(alert) for alert in response.alerts]
        print_json({"alerts": alerts, "already_acknowledged_ids": before})
        return
    for alert in response.alerts:
        word = f"Acknowledged before, by {alert.acknowledgement.user}:" if alert.id in before else "Acknowledged"
        say(f"{word} {alert.id} “{alert.title}”")
