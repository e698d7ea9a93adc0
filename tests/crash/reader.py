"""What a mesh says of its alerts and deliveries, and when it has come to rest."""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from monitors.v1 import alert_pb2, notification_pb2, notifier_service_pb2, rule_service_pb2
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash.invariants import UNFINISHED
from tests.processes import wait_for
from tests.served import ServedMesh, ServedProcess

LONGEST_CALL = 30
STUCK_SECONDS = 30
REST_SECONDS = 240
TOLD = (alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.ALERT_EVENT_KIND_RESOLVED)


class Reader:
    """Asks the mesh. What is of the monitor `aside`, by which a test sees that rules are in force, isn't told."""

    def __init__(self, mesh: ServedMesh, aside: str) -> None:
        self._mesh, self._aside = mesh, aside

    def alerts(self, tenant: str) -> list[alert_pb2.Alert]:
        """All alerts of a tenant, but for those that are aside."""
        return [one for one in self.all_alerts(tenant) if one.monitor_id != self._aside]

    def all_alerts(self, tenant: str) -> list[alert_pb2.Alert]:
        """All alerts of a tenant."""
        request = rule_service_pb2.ListAlertsRequest(page_size=1000)
        return self.pages(self._mesh.rules, RuleServiceStub, request, tenant, "alerts")

    def deliveries(self, tenant: str) -> list[notification_pb2.Delivery]:
        """All deliveries of a tenant, with their attempts."""
        request = notifier_service_pb2.ListDeliveriesRequest(page_size=1000, include_attempts=True)
        return self.pages(self._mesh.notifier, NotifierServiceStub, request, tenant, "deliveries")

    def pages(
        self, service: ServedProcess, stub: Callable[[Any], Any], request: Any, tenant: str, what: str
    ) -> list[Any]:
        """The field `what` of all pages of a list."""
        with self._mesh.channel(service) as channel:
            return list(pages(stub(channel), request, self._mesh.metadata(tenant), what))

    def wait_for_rest(self, tenants: Sequence[str], expected: int) -> None:
        """Waits until that many transitions are told or ended, or nothing moves any more."""
        wait_for_rest(
            lambda: [alert for tenant in tenants for alert in self.alerts(tenant)],
            lambda: [delivery for tenant in tenants for delivery in self.deliveries(tenant)],
            expected,
        )


def pages(stub: Any, request: Any, metadata: Sequence[tuple[str, str]], what: str) -> Iterator[Any]:
    """The field `what` of all pages of a list."""
    call = getattr(stub, type(request).__name__.removesuffix("Request"))
    while True:
        page = call(request, metadata=metadata, timeout=LONGEST_CALL)
        yield from getattr(page, what)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def wait_for_rest(
    alerts: Callable[[], Sequence[alert_pb2.Alert]],
    deliveries: Callable[[], Sequence[notification_pb2.Delivery]],
    expected: int,
) -> None:
    """Waits until that many transitions are told or ended, or nothing moves any more."""
    before, moved = (0, 0, 0), time.monotonic()

    def is_at_rest() -> bool:
        nonlocal before, moved
        found = {alert.id: alert for alert in alerts()}
        transitions = sum(1 + alert.HasField("resolve_time") for alert in found.values())
        told = [one for one in deliveries() if one.kind in TOLD]
        # What is told of a monitor that is aside stands for no transition that is expected.
        count = sum(one.alert_id in found for one in told)
        unfinished = sum(delivery.state in UNFINISHED for delivery in told)
        now = (transitions, count, unfinished)
        if now != before:
            before, moved = now, time.monotonic()
        done = not unfinished and min(transitions, count) >= expected
        return done or time.monotonic() - moved > STUCK_SECONDS

    wait_for(is_at_rest, "the mesh to come to rest", REST_SECONDS, every=0.5)
