"""What an evaluator tells of itself, and to whom: one tenant of several learns nothing of the others."""

from monitors.evaluator.backing import Parts
from monitors.evaluator.engine import EngineStatus
from monitors.mesh.times import to_duration, to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb


async def status_for(tenant: str | None, parts: Parts) -> pb.GetEvaluatorStatusResponse:
    """The status as a tenant may see it, or the mesh itself if `tenant` is None."""
    engine = parts.engine.status()
    response = pb.GetEvaluatorStatusResponse(
        start_time=to_timestamp(parts.start_time),
        shard_count=engine.shard_count,
        last_step_duration=to_duration(engine.last_step_duration),
        missed_slot_count=engine.missed_slots,
        source=parts.keeping.source,
        problems=[
            *engine.problems,
            *_of_rules(engine, tenant),
            *filter(None, [parts.intake.problem]),
            *parts.keeping.problems,
        ],
    )
    if engine.evaluated_to:
        response.evaluated_time.CopyFrom(to_timestamp(engine.evaluated_to))
    if tenant is None or not {*engine.tenants, *parts.catalogue.tenants()} - {tenant}:
        await _add_totals(response, engine, parts)
    else:
        response.series_count = parts.catalogue.count_of(tenant)
    response.problems.extend(filter(None, [parts.shared.problem]))
    return response


def _of_rules(engine: EngineStatus, tenant: str | None) -> list[str]:
    problems = engine.rule_problems.items()
    return [f"rule {key.rule_id}: {text}" for key, text in problems if tenant in (None, key.tenant)]


async def _add_totals(response: pb.GetEvaluatorStatusResponse, engine: EngineStatus, parts: Parts) -> None:
    """What is counted over all tenants. Why series aren't taken names fields, whosever they are."""
    history = await parts.points.size()
    response.rule_count = engine.rule_count
    response.instance_count = engine.instance_count
    response.series_count = len(parts.catalogue)
    response.unrecorded_transition_count = engine.unrecorded_transitions
    response.accepted_point_count = parts.intake.accepted_count
    response.rejected_point_count = parts.intake.refused_count
    response.history_bytes = history.bytes
    response.unowned_series_count = parts.keeping.unowned_count
    response.problems.extend(parts.keeping.series_problems)
    if history.start is not None:
        response.history_start_time.CopyFrom(to_timestamp(history.start))
