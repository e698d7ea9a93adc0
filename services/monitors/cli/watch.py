"""`monitors alerts watch`: alerts as they change."""

import time
from collections.abc import Iterator

import grpc

from monitors.cli import documents
from monitors.cli.alert_views import live_line
from monitors.cli.choices import word_of
from monitors.cli.client import Mesh, connected
from monitors.cli.failures import BROKEN_OFF
from monitors.cli.options import AsJson
from monitors.cli.output import SEVERITY_STYLES, print_json, say, tell
from monitors.v1.alert_pb2 import AlertEventKind, AlertState
from monitors.v1.rule_pb2 import Severity
from monitors.v1.rule_service_pb2 import WatchAlertsRequest, WatchAlertsResponse

PAUSE_SECONDS = 1.0


def watch(as_json: AsJson = False) -> None:
    """Show what fires now and then each change, until Ctrl-C. With --json one document a line."""
    with connected() as mesh:
        try:
            for change in changes(mesh):
                show_change(change, as_json=as_json)
        except KeyboardInterrupt:
            return


def changes(mesh: Mesh) -> Iterator[WatchAlertsResponse]:
    """Changes without end. A connection that is lost is taken up again; what fires is told once all the same."""
    firing: set[str] = set()
    connected_before = False
    while True:
        request = WatchAlertsRequest(include_firing=True)
        try:
            for change in mesh.stream(mesh.rules.WatchAlerts, request, wait=connected_before):
                connected_before = True
                if change.HasField("alert") and _is_news(change, firing):
                    yield change
        except grpc.RpcError as error:
            if not connected_before or error.code() not in BROKEN_OFF:
                raise mesh.failure(error) from None
        tell(f"The connection to {mesh.address} has ended; waiting for the mesh to come back …")
        connected_before = True
        time.sleep(PAUSE_SECONDS)


def _is_news(change: WatchAlertsResponse, firing: set[str]) -> bool:
    alert = change.alert
    if alert.state != AlertState.ALERT_STATE_FIRING:
        firing.discard(alert.id)
        return True
    known = alert.id in firing
    firing.add(alert.id)
    kind = change.event.kind
    return not known or kind not in (
        AlertEventKind.ALERT_EVENT_KIND_FIRING,
        AlertEventKind.ALERT_EVENT_KIND_UNSPECIFIED,
    )


def show_change(change: WatchAlertsResponse, *, as_json: bool) -> None:
    """Prints one change."""
    if as_json:
        alert, event = documents.alert_document(change.alert), documents.event_document(change.event)
        print_json({"alert": alert, "event": event}, compact=True)
        return
    fires = change.alert.state == AlertState.ALERT_STATE_FIRING
    style = SEVERITY_STYLES.get(word_of(Severity, change.alert.severity), "") if fires else "green"
    say(live_line(change.alert, change.event), style)
