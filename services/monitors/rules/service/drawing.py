"""RuleService: pictures of alerts, for the messages that tell of them."""

import asyncio
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.tenancy import of_tenant
from monitors.rules.charts import draw_within
from monitors.rules.model.alert import Alert
from monitors.rules.model.rule import Rule, check_line
from monitors.rules.service.alerts import existing_alerts
from monitors.rules.service.base import Core, Part
from monitors.rules.service.evaluator import compared
from monitors.rules.store.rules import find_rule
from monitors.rules.translate.charts import chart_of_alert, describe, narrowed, span_of
from monitors.rules.translate.rules import rule_from_stored, rule_to_proto
from monitors.v1 import rule_service_pb2 as pb

MOST_BYTES = 65_536
AT_ONCE = 1
"""How many are drawn at the same time: it's a tenth of a second's work, and all else in this process needs the
processor more."""
USUAL_SECONDS = 2.0
SHARE_OF_READING = 0.75
"""How much of the call's time the evaluator may take to tell what is drawn."""


class DrawingCalls(Part):
    """What messages show."""

    def __init__(self, core: Core) -> None:
        super().__init__(core)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def DrawAlert(self, request: pb.DrawAlertRequest, context: Any) -> pb.DrawAlertResponse:
        """The picture of an alert, if it can be had now."""
        for error in check_line("tenant_id", request.tenant_id, 40, "send the tenant that the alert belongs to"):
            raise error
        most = request.max_bytes or MOST_BYTES
        if most > MOST_BYTES:
            raise InvalidField("max_bytes", f"is {most:,}; send at most {MOST_BYTES:,}")

        def work(session: Session) -> tuple[Alert, Rule | None]:
            with of_tenant(session, request.tenant_id):
                (alert,) = existing_alerts(session, request.tenant_id, [request.alert_id])
                stored = find_rule(session, request.tenant_id, alert.rule_id)
                return alert, rule_from_stored(stored) if stored else None

        alert, rule = await self.core.database.read(work)
        if rule is None:
            return pb.DrawAlertResponse()
        seconds = context.time_remaining() or USUAL_SECONDS
        start, end = span_of(alert, self.core.database.now())
        rule = narrowed(rule, alert)
        curves = await compared(
            self.core.evaluator, alert.tenant, rule_to_proto(rule), start, end, SHARE_OF_READING * seconds
        )
        chart = chart_of_alert(rule, alert, curves, start, end)
        if chart is None:
            return pb.DrawAlertResponse()
        async with self._turn:
            picture = await asyncio.to_thread(draw_within, chart, most)
        return pb.DrawAlertResponse(chart=picture, description=describe(chart) if picture else "")
