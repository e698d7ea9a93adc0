"""RuleService: alerts."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField, NotFound, WrongState
from monitors.mesh.events import Changes
from monitors.mesh.identity import current_tenant
from monitors.rules.model.alert import Alert
from monitors.rules.model.episodes import Ledger
from monitors.rules.model.filters import ALERT_FILTER, read_filter
from monitors.rules.model.pages import page_size, read_token, write_token
from monitors.rules.service.base import Caller, Part, fitting
from monitors.rules.store import alerts as store
from monitors.rules.store import deliveries
from monitors.rules.store.decisions import save
from monitors.rules.store.transitions import load_open
from monitors.rules.translate.alerts import alert_to_proto, delivery_to_proto, encode_notification, event_to_proto
from monitors.v1 import alert_pb2
from monitors.v1 import rule_service_pb2 as pb

LONGEST_NOTE = 2000
MOST_ACKNOWLEDGED = 100
PAGE_OF_EVENTS = 500


class AlertCalls(Part):
    """List, read, acknowledge, resolve and watch alerts."""

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        """A page of alerts."""
        tenant, size, now = current_tenant(), page_size(request.page_size), self.core.database.now()
        terms = read_filter(request.filter, ALERT_FILTER)
        query = json.dumps(["ListAlerts", tenant, request.filter])
        after = read_token(request.page_token, query)
        found, total = await self.core.database.read(
            lambda session: store.list_alerts(session, tenant, terms, after, size + 1)
        )
        page = fitting([alert_to_proto(alert, now) for alert in found[:size]], alert_pb2.Alert.ByteSize)
        response = pb.ListAlertsResponse(
            alerts=page,
            total_count=min(total, store.MOST_COUNTED),
            total_count_is_capped=total > store.MOST_COUNTED,
        )
        if len(page) < len(found):
            last = found[len(page) - 1]
            response.next_page_token = write_token(query, (last.fire_time, last.id))
        return response

    async def GetAlert(self, request: pb.GetAlertRequest, context: Any) -> pb.GetAlertResponse:
        """One alert with its timeline and deliveries."""
        tenant, alert_id, now = current_tenant(), request.alert_id, self.core.database.now()

        def work(session: Session) -> pb.GetAlertResponse:
            (alert,) = existing_alerts(session, tenant, [alert_id])
            return pb.GetAlertResponse(
                alert=alert_to_proto(alert, now),
                timeline=map(event_to_proto, store.timeline(session, tenant, alert_id)),
                deliveries=map(delivery_to_proto, deliveries.deliveries_of(session, tenant, alert_id)),
            )

        return await self.core.database.read(work)

    async def AcknowledgeAlerts(
        self, request: pb.AcknowledgeAlertsRequest, context: Any
    ) -> pb.AcknowledgeAlertsResponse:
        """Says that somebody takes care."""
        ids = list(dict.fromkeys(request.alert_ids))
        if not 1 <= len(ids) <= MOST_ACKNOWLEDGED:
            raise InvalidField("alert_ids", f"there are {len(ids)}; send 1 to {MOST_ACKNOWLEDGED}")
        _check_note(request.note)

        def work(session: Session, who: Caller) -> pb.AcknowledgeAlertsResponse:
            before = existing_alerts(session, who.tenant, ids, lock=True)
            ledger = _ledger(session, who, before)
            after = [ledger.acknowledge(alert, who.user, request.note) for alert in before]
            save(session, ledger, encode_notification)
            for old, new in zip(before, after, strict=True):
                who.changed("alert", old.id, alert_to_proto(old, who.now), alert_to_proto(new, who.now))
            return pb.AcknowledgeAlertsResponse(
                alerts=[alert_to_proto(alert, who.now) for alert in after],
                already_acknowledged_ids=[alert.id for alert in before if alert.acknowledge_time is not None],
            )

        return await self.change("AcknowledgeAlerts", request, pb.AcknowledgeAlertsResponse, work)

    async def ResolveAlert(self, request: pb.ResolveAlertRequest, context: Any) -> pb.ResolveAlertResponse:
        """Closes an alert by hand."""
        _check_note(request.note)

        def work(session: Session, who: Caller) -> pb.ResolveAlertResponse:
            (alert,) = existing_alerts(session, who.tenant, [request.alert_id], lock=True)
            if not alert.is_open:
                raise WrongState(
                    f"alert {alert.id!r} is resolved already ({alert.resolve_reason}); nothing was changed",
                    metadata={"state": "resolved"},
                )
            ledger = _ledger(session, who, [alert])
            closed = ledger.resolve(alert, "manual", who.user, request.note)
            store.note_manual_resolution(session, closed, who.now)
            save(session, ledger, encode_notification)
            who.changed("alert", alert.id, alert_to_proto(alert, who.now), alert_to_proto(closed, who.now))
            return pb.ResolveAlertResponse(alert=alert_to_proto(closed, who.now))

        return await self.change("ResolveAlert", request, pb.ResolveAlertResponse, work)

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        """Alerts as they change."""
        tenant = current_tenant()
        # From before the first look on, so that no change in between is missed.
        with self.core.watched_alerts.of(tenant) as changes:
            async for message in self._watch(tenant, changes, include_firing=request.include_firing):
                yield message

    async def _watch(
        self, tenant: str, changes: Changes, *, include_firing: bool
    ) -> AsyncIterator[pb.WatchAlertsResponse]:
        def begin(session: Session) -> tuple[int, list[Alert]]:
            firing = store.open_alerts(session, tenant) if include_firing else []
            return store.newest_sequence(session), firing

        seen, firing = await self.core.database.read(begin)
        if self.core.watched_alerts.seen is None:
            self.core.watched_alerts.seen = seen
        now = self.core.database.now()
        for alert in firing:
            yield pb.WatchAlertsResponse(alert=alert_to_proto(alert, now))

        def changed(session: Session) -> tuple[int, list[pb.WatchAlertsResponse], bool]:
            events = store.events_since(session, tenant, seen, PAGE_OF_EVENTS)
            known = store.find_alerts(session, tenant, list({event.alert_id for event in events}))
            now = self.core.database.now()
            return (
                (events[-1].sequence if events else seen),
                [
                    pb.WatchAlertsResponse(
                        alert=alert_to_proto(known[event.alert_id], now), event=event_to_proto(event)
                    )
                    for event in events
                    # Who is far behind may find an alert deleted meanwhile that has long been over.
                    if not event.is_imported and event.alert_id in known
                ],
                len(events) == PAGE_OF_EVENTS,
            )

        async def look() -> tuple[list[pb.WatchAlertsResponse], bool]:
            nonlocal seen
            seen, messages, is_more = await self.core.database.read(changed)
            return messages, is_more

        async for message in self.follow([changes], look, pb.WatchAlertsResponse()):
            yield message


def _check_note(note: str) -> None:
    if len(note) > LONGEST_NOTE:
        raise InvalidField("note", f"has {len(note):,} characters; at most {LONGEST_NOTE:,}")


def existing_alerts(session: Session, tenant: str, ids: Sequence[str], *, lock: bool = False) -> list[Alert]:
    """The tenant's alerts in the order of the ids; with `lock` nobody else changes them meanwhile. Raises NotFound if
    one doesn't exist."""
    found = store.find_alerts(session, tenant, ids, lock=lock)
    for alert_id in ids:
        if alert_id not in found:
            raise NotFound("alert", alert_id[:64], "ListAlerts shows those that there are")
    return [found[alert_id] for alert_id in ids]


def _ledger(session: Session, who: Caller, alerts: Sequence[Alert]) -> Ledger:
    return Ledger(load_open(session, {who.tenant: [alert.instance_key for alert in alerts]}), who.now, who.traceparent)
