"""RuleService: alerts of another product, taken in as history."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField, InvalidFields, MeshError, NotFound
from monitors.mesh.identity import current_tenant
from monitors.rules.model.past_alerts import PastAlert, check_past, episode_of, id_of_past
from monitors.rules.service.base import Caller, Part
from monitors.rules.service.batch_changes import problems_of
from monitors.rules.store import alerts as store
from monitors.rules.store.rules import StoredRule, find_rules
from monitors.rules.translate.past_alerts import past_from_proto
from monitors.rules.translate.rules import facts_of
from monitors.v1 import rule_service_pb2 as pb

MOST_ALERTS = 500
Sent = PastAlert | MeshError
"""An alert, or why it can't even be read."""


class PastAlertCalls(Part):
    """What other products remember."""

    async def ImportAlerts(self, request: pb.ImportAlertsRequest, context: Any) -> pb.ImportAlertsResponse:
        """Takes in alerts that are over, all or none; or tells what would become of them."""
        if not 1 <= len(request.alerts) <= MOST_ALERTS:
            raise InvalidField("alerts", f"there are {len(request.alerts):,}; send 1 to {MOST_ALERTS}")
        tenant, now = current_tenant(), self.core.database.now()
        sent = _read(request.alerts, now)
        if request.validate_only:
            return await self.core.database.read(lambda session: _told(_Known.of(session, tenant, sent), sent))
        return await self.change(
            "ImportAlerts", request, pb.ImportAlertsResponse, lambda session, who: _take_in(session, who, sent)
        )


@dataclass(frozen=True)
class _Known:
    """What there is here of the alerts that were sent."""

    tenant: str
    rules: dict[str, StoredRule]
    ids: set[str]

    @classmethod
    def of(cls, session: Session, tenant: str, sent: Sequence[Sent]) -> "_Known":
        pasts = [each for each in sent if isinstance(each, PastAlert)]
        rules = find_rules(session, tenant, sorted({past.rule_id for past in pasts}))
        return cls(tenant, rules, store.find_ids(session, tenant, {id_of_past(tenant, past.key) for past in pasts}))

    def checked(self, sent: Sent) -> tuple[PastAlert, StoredRule]:
        """The alert and its rule. Raises why it's refused."""
        if isinstance(sent, MeshError):
            raise sent
        if sent.rule_id not in self.rules:
            raise NotFound("rule", sent.rule_id, "ListRules shows those that there are")
        return sent, self.rules[sent.rule_id]


def _read(messages: Sequence[pb.PastAlert], now: int) -> list[Sent]:
    sent: list[Sent] = []
    numbers: dict[str, int] = {}
    for number, message in enumerate(messages):
        try:
            past = past_from_proto(message)
            errors = check_past(past, now)
            first = numbers.setdefault(past.key, number)
            if first != number:
                errors.append(InvalidField("key", f"is that of alerts[{first}] too; each stands for one alert"))
            if errors:
                raise InvalidFields.of(errors)
        except MeshError as error:
            sent.append(error)
        else:
            sent.append(past)
    return sent


def _told(known: _Known, sent: Sequence[Sent]) -> pb.ImportAlertsResponse:
    response = pb.ImportAlertsResponse()
    for each in sent:
        try:
            past, _ = known.checked(each)
        except MeshError as error:
            response.results.add(problems=problems_of(error))
            continue
        alert_id = id_of_past(known.tenant, past.key)
        was_there = alert_id in known.ids
        response.results.add(alert_id=alert_id if was_there else "", was_there=was_there)
    return response


def _take_in(session: Session, who: Caller, sent: Sequence[Sent]) -> pb.ImportAlertsResponse:
    # Who takes in the same at the same time clashes by the ids, is tried again, and then finds it there.
    known = _Known.of(session, who.tenant, sent)
    response, alerts, events = pb.ImportAlertsResponse(), [], []
    for number, each in enumerate(sent):
        try:
            past, rule = known.checked(each)
        except MeshError as error:
            raise error.at(f"alerts[{number}]") from None
        alert, happened = episode_of(who.tenant, past, facts_of(rule), who.now)
        was_there = alert.id in known.ids
        response.results.add(alert_id=alert.id, was_there=was_there)
        if not was_there:
            alerts.append(alert)
            events += happened
    if alerts:
        store.add_past(session, alerts, events)
        # One event for all; what each of them says is in its own timeline.
        who.changed("alert", alerts[0].id, after={"count": len(alerts), "alertIds": [alert.id for alert in alerts]})
    return response
