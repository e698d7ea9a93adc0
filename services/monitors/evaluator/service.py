"""EvaluatorService: requests to the intake, the catalogue and the store, and back."""

from collections.abc import AsyncIterator
from contextlib import nullcontext
from typing import Any

import grpc

from monitors.evaluator.backing import Parts
from monitors.evaluator.export import definition_messages, exported_points, to_exported
from monitors.evaluator.messages import size_of, to_explanation, to_series_info, to_series_points
from monitors.evaluator.model.spec import RuleKey
from monitors.evaluator.queries import (
    SeriesQuery,
    exported_series,
    matching_series,
    page_of_series,
    points_for_chart,
    token_after,
)
from monitors.evaluator.samples import SampleStream
from monitors.evaluator.spans import MessageSpans
from monitors.evaluator.status import status_for
from monitors.evaluator.turns import Turns
from monitors.mesh.errors import InvalidField, Unauthenticated
from monitors.mesh.identity import current_principal, current_tenant, tenant_of_caller
from monitors.mesh.spans import is_traced
from monitors.mesh.times import from_timestamp, now_nanos
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceServicer, add_EvaluatorServiceServicer_to_server

Context = grpc.aio.ServicerContext[Any, Any]

NAME = pb.DESCRIPTOR.services_by_name["EvaluatorService"].full_name
MAX_REJECTIONS = 100
CHARTS_AT_ONCE, CHARTS_OF_TENANT = 4, 2
"""How many charts are read at the same time. Each may take hundreds of megabytes until it's thinned."""
MAX_RESPONSE_BYTES = 3_000_000
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1


class EvaluatorService(EvaluatorServiceServicer):
    """The servicer. Its callers are known by then, and may call what they call."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._is_traced = is_traced()
        self._charts = Turns(CHARTS_AT_ONCE, CHARTS_OF_TENANT)

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds the servicer and returns the service's full name."""
        add_EvaluatorServiceServicer_to_server(self, server)
        return NAME

    async def WriteSamples(
        self, request_iterator: AsyncIterator[pb.WriteSamplesRequest], context: Context
    ) -> pb.WriteSamplesResponse:
        """Takes each message as it comes; what a later message does wrong doesn't undo an earlier one."""
        streams: dict[str, SampleStream] = {}
        response = pb.WriteSamplesResponse()
        spans = MessageSpans(f"{NAME}/WriteSamples", context) if self._is_traced else None
        async for request in request_iterator:
            tenant = _tenant_named(request.tenant_id)
            stream = streams.setdefault(tenant, SampleStream(tenant, self._parts.catalogue))
            submission = stream.take(request)
            with spans.message(tenant, len(submission.points)) if spans else nullcontext():
                written = await self._parts.intake.write(submission)
            response.accepted_count += written.accepted
            response.rejected_count += written.refused
            for refusal in written.refusals[: MAX_REJECTIONS - len(response.rejections)]:
                place = stream.place_of(refusal.series)
                response.rejections.add(series_index=place, reason=refusal.reason, tenant_id=request.tenant_id)
        return response

    async def ListSeries(self, request: pb.ListSeriesRequest, context: Context) -> pb.ListSeriesResponse:
        """A page of the tenant's series with their newest values."""
        tenant = _tenant_named(request.tenant_id)
        page, more = page_of_series(
            self._parts.catalogue, tenant, request.monitor_ids, request.page_size, request.page_token
        )
        response, size = pb.ListSeriesResponse(), 0
        for series in page:
            info = to_series_info(series, self._parts.newest.of(series.index))
            size += size_of(info)
            if response.series and size > MAX_RESPONSE_BYTES:
                more = True
                break
            response.series.append(info)
        if more:
            last = page[len(response.series) - 1]
            response.next_page_token = token_after(last, tenant, request.monitor_ids)
        return response

    async def QuerySeries(self, request: pb.QuerySeriesRequest, context: Context) -> pb.QuerySeriesResponse:
        """The points of one field's series."""
        query = SeriesQuery(
            current_tenant(), request.monitor_id, request.measurement, request.field, dict(request.tags)
        )
        found = matching_series(self._parts.catalogue, query)
        if not request.HasField("start_time"):
            raise InvalidField("start_time", "missing; it's required")
        start = _bounded(from_timestamp(request.start_time))
        end = _bounded(from_timestamp(request.end_time)) if request.HasField("end_time") else now_nanos()
        async with self._charts.turn(query.tenant):
            points = await points_for_chart(self._parts.points, found, start, end)
        return pb.QuerySeriesResponse(series=[to_series_points(series, own) for series, own in points])

    async def ExportSeries(
        self, request: pb.ExportSeriesRequest, context: Context
    ) -> AsyncIterator[pb.ExportSeriesResponse]:
        """The series, then their points."""
        query = SeriesQuery(
            current_tenant(), request.monitor_id, request.measurement, request.field, dict(request.tags)
        )
        found = exported_series(self._parts.catalogue, query)
        start = _bounded(from_timestamp(request.start_time)) if request.HasField("start_time") else INT64_MIN
        end = _bounded(from_timestamp(request.end_time)) if request.HasField("end_time") else now_nanos()
        for definitions in definition_messages(found):
            yield definitions
        async for points in exported_points(self._parts.points, found, start, end):
            yield to_exported(points)

    async def Backtest(self, request: pb.BacktestRequest, context: Context) -> pb.BacktestResponse:
        """What a rule would have done on the stored points."""
        return await self._parts.backtests.run(_tenant_named(request.tenant_id), request)

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:
        """Why a rule's instances are in their states."""
        key = RuleKey(_tenant_named(request.tenant_id), request.rule_id)
        if not request.rule_id:
            raise InvalidField("rule_id", "empty; it's required")
        monitors = [request.monitor_id] if request.monitor_id else []
        found = await self._parts.engine.explain(key, monitors)
        return pb.ExplainResponse(instances=map(to_explanation, found))

    async def GetEvaluatorStatus(
        self, request: pb.GetEvaluatorStatusRequest, context: Context
    ) -> pb.GetEvaluatorStatusResponse:
        """How the evaluator fares."""
        return await status_for(tenant_of_caller(), self._parts)


def _tenant_named(tenant: str) -> str:
    if not tenant:
        return current_tenant()
    if current_principal().is_service or tenant == current_tenant():
        return tenant
    raise Unauthenticated("tenant_id: only a service of the mesh may name another tenant; leave it empty")


def _bounded(time: int) -> int:
    return min(max(time, INT64_MIN), INT64_MAX)
