"""What the evaluator knows about series: asked for when it's there, done without when it isn't."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.errors import InvalidField, ServiceUnavailable
from monitors.mesh.times import to_timestamp
from monitors.rules.model.condition import Condition, Target
from monitors.rules.model.condition_parts import targets_of
from monitors.rules.model.quantities import listed, shown
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_pb2

if TYPE_CHECKING:
    from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceAsyncStub

DEADLINE_SECONDS = 1.0
BACKTEST_SECONDS = 30.0
MOST_SERIES = 10_000
MOST_MATCHES = 100
MOST_VALUES = 10


async def series_of(
    evaluator: "EvaluatorServiceAsyncStub | None", tenant: str, monitor_ids: Sequence[str]
) -> list[pb.SeriesInfo] | None:
    """The series of monitors with their newest values; None if the evaluator can't be asked."""
    if not monitor_ids:
        return []
    if evaluator is None:
        return None
    request = pb.ListSeriesRequest(monitor_ids=monitor_ids, page_size=MOST_SERIES, tenant_id=tenant)
    try:
        return list((await evaluator.ListSeries(request, timeout=DEADLINE_SECONDS)).series)
    except grpc.aio.AioRpcError:
        return None


def matching_series(series: Sequence[pb.SeriesInfo], condition: Condition) -> list[pb.SeriesInfo]:
    """Those that a condition looks at, at most 100."""
    targets = list(targets_of(condition))
    if not targets:
        return list(series[:MOST_MATCHES])
    found = [each for each in series if any(_is_looked_at(each, target) for target in targets)]
    return found[:MOST_MATCHES]


def without_match(series: Sequence[pb.SeriesInfo], condition: Condition) -> str:
    """What to tell of a condition that looks at none of the series: which values the tags have that it filters by."""
    told = []
    for target in targets_of(condition):
        fields = [each for each in series if _is_of_field(each, target)]
        for tag in dict.fromkeys(each.tag for each in target.filters):
            values = sorted({each.key.tags[tag] for each in fields if tag in each.key.tags})
            others = sorted({name for each in fields for name in each.key.tags})
            if values:
                told.append(f"{shown(tag)} is {listed([repr(value) for value in values[:MOST_VALUES]])} there")
            elif fields:
                told.append(f"{shown(tag)} is no tag there" + (f", its tags: {listed(others)}" if others else ""))
    return "; ".join(["it matches no series that has reported yet", *dict.fromkeys(told)])


def _is_of_field(series: pb.SeriesInfo, target: Target) -> bool:
    return series.key.field == target.field and target.measurement in ("", series.key.measurement)


def _is_looked_at(series: pb.SeriesInfo, target: Target) -> bool:
    return _is_of_field(series, target) and all(one.passes(series.key.tags) for one in target.filters)


async def tried(
    evaluator: "EvaluatorServiceAsyncStub | None", tenant: str, rule: rule_pb2.Rule, start: int
) -> pb.BacktestResponse | None:
    """What a rule would have done from `start` until now; None if the evaluator can't be asked.

    Raises InvalidField if it says that so much can't be tried.
    """
    if evaluator is None:
        return None
    request = pb.BacktestRequest(tenant_id=tenant, rule=rule, start_time=to_timestamp(start))
    try:
        return await evaluator.Backtest(request, timeout=BACKTEST_SECONDS)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
            raise InvalidField("backtest_window", error.details() or "it can't be tried") from None
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise InvalidField("backtest_window", "takes too long; ask for a shorter time") from None
        return None


async def compared(
    evaluator: "EvaluatorServiceAsyncStub | None",
    tenant: str,
    rule: rule_pb2.Rule,
    start: int,
    end: int,
    seconds: float,
) -> list[pb.Curve]:
    """What a rule's condition compared over a time; nothing if the evaluator can't be asked, or doesn't tell within so
    many seconds."""
    if evaluator is None:
        return []
    request = pb.BacktestRequest(
        tenant_id=tenant, rule=rule, start_time=to_timestamp(start), end_time=to_timestamp(end)
    )
    try:
        return list((await evaluator.Backtest(request, timeout=seconds)).curves)
    except grpc.aio.AioRpcError:
        return []


async def explained(
    evaluator: "EvaluatorServiceAsyncStub | None", tenant: str, rule_id: str, monitor_id: str
) -> list[pb.InstanceExplanation]:
    """Why a rule's instances, of one monitor or of all, are in their states. Raises ServiceUnavailable."""
    if evaluator is None:
        raise ServiceUnavailable("evaluator")
    request = pb.ExplainRequest(tenant_id=tenant, rule_id=rule_id, monitor_id=monitor_id)
    try:
        return list((await evaluator.Explain(request, timeout=DEADLINE_SECONDS)).instances)
    except grpc.aio.AioRpcError:
        raise ServiceUnavailable("evaluator") from None
