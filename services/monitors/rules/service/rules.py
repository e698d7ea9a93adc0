"""RuleService: rules."""

import asyncio
import json
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.identity import current_principal, current_tenant
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, SECOND, from_duration
from monitors.rules.charts import draw
from monitors.rules.model.alert import Alert
from monitors.rules.model.drafting import propose_change, propose_new, settle
from monitors.rules.model.filters import RULE_FILTER, read_filter
from monitors.rules.model.pages import page_size, read_token, write_token
from monitors.rules.model.quotas import check_interval
from monitors.rules.model.rule import Rule, warnings_about
from monitors.rules.model.words import explain_rule
from monitors.rules.service import batch_changes, rule_changes
from monitors.rules.service.alerts import existing_alerts
from monitors.rules.service.base import Part, fitting
from monitors.rules.service.batch_changes import LARGEST_BATCH
from monitors.rules.service.evaluator import explained, matching_series, series_of, tried, without_match
from monitors.rules.store.monitors import surroundings
from monitors.rules.store.rules import count_open_alerts, count_rules, list_rules
from monitors.rules.translate.charts import chart_of
from monitors.rules.translate.rules import (
    check_rule_id,
    draft_from_proto,
    rule_from_stored,
    rule_to_proto,
    stored_to_proto,
)
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

LONGEST_BACKTEST = 366 * DAY


class RuleCalls(Part):
    """Create, read, change, delete and preview rules."""

    async def CreateRule(self, request: pb.CreateRuleRequest, context: Any) -> pb.CreateRuleResponse:
        """Makes a rule."""
        proposal = propose_new(draft_from_proto(request.rule))
        return await self.change(
            "CreateRule",
            request,
            pb.CreateRuleResponse,
            lambda session, who: rule_changes.create(session, who, proposal),
        )

    async def BatchCreateRules(self, request: pb.BatchCreateRulesRequest, context: Any) -> pb.BatchCreateRulesResponse:
        """Makes rules, all or none."""
        if not 1 <= len(request.rules) <= LARGEST_BATCH:
            raise InvalidField("rules", f"there are {len(request.rules):,}; send 1 to {LARGEST_BATCH:,}")
        # A thousand conditions are too many to parse while everybody else waits.
        proposals = await asyncio.to_thread(lambda: [propose_new(draft_from_proto(rule)) for rule in request.rules])
        return await self.change(
            "BatchCreateRules",
            request,
            pb.BatchCreateRulesResponse,
            lambda session, who: rule_changes.batch_create(session, who, proposals),
        )

    async def BatchChangeRules(self, request: pb.BatchChangeRulesRequest, context: Any) -> pb.BatchChangeRulesResponse:
        """Makes, changes and deletes rules, all or none; or tells what that would do."""
        steps = await asyncio.to_thread(batch_changes.read_changes, request.changes)
        try:
            return await self.change(
                "BatchChangeRules",
                request,
                pb.BatchChangeRulesResponse,
                lambda session, who: batch_changes.make(session, who, steps, validate_only=request.validate_only),
            )
        except batch_changes.Undone as undone:
            return undone.response

    async def UpdateRule(self, request: pb.UpdateRuleRequest, context: Any) -> pb.UpdateRuleResponse:
        """Changes a rule."""
        rule_id = check_rule_id(request.rule.id)
        draft = draft_from_proto(request.rule)
        mask = list(request.update_mask.paths) if request.HasField("update_mask") else None
        return await self.change(
            "UpdateRule",
            request,
            pb.UpdateRuleResponse,
            lambda session, who: rule_changes.update(session, who, rule_id, request.rule.etag, draft, mask),
        )

    async def DeleteRule(self, request: pb.DeleteRuleRequest, context: Any) -> pb.DeleteRuleResponse:
        """Deletes a rule."""
        rule_id = check_rule_id(request.rule_id)
        return await self.change(
            "DeleteRule",
            request,
            pb.DeleteRuleResponse,
            lambda session, who: rule_changes.delete(session, who, rule_id, request.etag),
        )

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        """One rule."""
        tenant, rule_id = current_tenant(), check_rule_id(request.rule_id)

        def work(session: Session) -> rule_pb2.Rule:
            stored = rule_changes.existing(session, tenant, rule_id)
            return stored_to_proto(stored, count_open_alerts(session, tenant, [rule_id]).get(rule_id, 0))

        return pb.GetRuleResponse(rule=await self.core.database.read(work))

    async def ListRules(self, request: pb.ListRulesRequest, context: Any) -> pb.ListRulesResponse:
        """A page of rules."""
        tenant, size = current_tenant(), page_size(request.page_size)
        terms = read_filter(request.filter, RULE_FILTER)
        query = json.dumps(["ListRules", tenant, request.filter])
        after = read_token(request.page_token, query)

        def work(session: Session) -> pb.ListRulesResponse:
            found, total = list_rules(session, tenant, terms, after, size + 1)
            page = fitting(found[:size], lambda stored: len(stored.body))
            counts = count_open_alerts(session, tenant, [stored.id for stored in page])
            response = pb.ListRulesResponse(
                rules=[stored_to_proto(stored, counts.get(stored.id, 0)) for stored in page], total_count=total
            )
            if len(page) < len(found):
                response.next_page_token = write_token(query, (page[-1].create_time, page[-1].id))
            return response

        return await self.core.database.read(work)

    async def PreviewRule(self, request: pb.PreviewRuleRequest, context: Any) -> pb.PreviewRuleResponse:
        """What a rule means; saves nothing."""
        window = _backtest_window(request)
        tenant, now = current_tenant(), self.core.database.now()
        quotas = self.core.tiers.of(current_principal().tier)

        def work(session: Session) -> tuple[Rule, list[str], list[str]]:
            current = None
            if request.rule.id:
                stored = rule_changes.existing(session, tenant, check_rule_id(request.rule.id))
                current = rule_from_stored(stored)
            draft = draft_from_proto(request.rule)
            proposal = propose_change(current, draft, None) if current else propose_new(draft)
            around = surroundings(session, tenant, proposal.rule.monitor_id)
            rule = settle(proposal, around, current)
            check_interval(rule, quotas, current)
            warnings = warnings_about(rule, now, around.channels.values())
            if current is None and count_rules(session, tenant) >= quotas.rules:
                warnings.append(f"it can't be made: there are {quotas.rules:,} rules, all that your tier allows")
            return rule, list(around.monitor_ids), warnings

        rule, monitor_ids, warnings = await self.core.database.read(work)
        series = await series_of(self.core.evaluator, tenant, monitor_ids)
        matches = matching_series(series or (), rule.condition)
        if series is None:
            warnings.append("what it matches now couldn't be checked: the evaluator can't be reached")
        elif not matches:
            warnings.append(without_match(series, rule.condition))
        response = pb.PreviewRuleResponse(rule=rule_to_proto(rule), explanation=explain_rule(rule), matches=matches)
        if window:
            backtest = await tried(self.core.evaluator, tenant, response.rule, now - window)
            if backtest is None:
                warnings.append("what it would have done couldn't be found out: the evaluator can't be reached")
            else:
                response.backtest.CopyFrom(backtest)
                if request.include_chart:
                    response.chart = await asyncio.to_thread(draw, chart_of(rule, backtest, now - window, now))
        response.warnings.extend(warnings)
        return response

    async def ExplainRule(self, request: pb.ExplainRuleRequest, context: Any) -> pb.ExplainRuleResponse:
        """Why a rule's instances, or that of an alert, are in their states."""
        tenant = current_tenant()

        def work(session: Session) -> Alert | None:
            if request.alert_id:
                (alert,) = existing_alerts(session, tenant, [request.alert_id])
                return alert
            rule_changes.existing(session, tenant, check_rule_id(request.rule_id))
            return None

        alert = await self.core.database.read(work)
        rule_id, monitor = (alert.rule_id, alert.monitor_id) if alert else (request.rule_id, "")
        found = await explained(self.core.evaluator, tenant, rule_id, monitor)
        return pb.ExplainRuleResponse(
            instances=[one for one in found if alert is None or dict(one.group) == dict(alert.group)]
        )


def _backtest_window(request: pb.PreviewRuleRequest) -> int:
    """How far back to look in nanoseconds, 0 for no backtest. Raises InvalidField."""
    if not request.HasField("backtest_window"):
        return DAY if request.include_chart else 0
    window = from_duration(request.backtest_window)
    if not SECOND <= window <= LONGEST_BACKTEST:
        raise InvalidField(
            "backtest_window", f"{format_duration(window)} is out of bounds; send 1s to 366d, such as 7d"
        )
    return window
