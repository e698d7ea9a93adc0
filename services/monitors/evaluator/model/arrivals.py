"""How batches enter an evaluation: what is pushed, what is polled, and what was written while nobody could poll."""

import numpy as np

from monitors.evaluator.model.arrays import NEVER, Places
from monitors.evaluator.model.evaluation import NO_POINTS, Evaluation, Points
from monitors.evaluator.model.machine import Transition
from monitors.evaluator.model.recovery import note_outage, resume, stop_clocks
from monitors.evaluator.model.series import Arrival, Batch


def take(evaluation: Evaluation, batch: Batch, *, clock: int = 0) -> list[Transition]:
    """Takes a batch and evaluates up to when it was accepted; `clock` as in `Evaluation.advance`."""
    points, now = Points(batch.series, batch.times, batch.values), batch.accepted_at
    match batch.arrival:
        case Arrival.PUSHED:
            return evaluation.accept(points, now, clock=clock)
        case Arrival.POLLED:
            return evaluation.advance(points, now)
        case Arrival.AFTER_OUTAGE:
            return _take_after_outage(evaluation, points, now)
        case Arrival.SKIPPED:
            evaluation.window.insert(*points.where(evaluation.window.keeps(points.series)))
            resume(evaluation, now)
            return []
        case Arrival.AHEAD:
            return evaluation.run_ahead(points, now)


def _take_after_outage(evaluation: Evaluation, points: Points, now: int) -> list[Transition]:
    """Takes what was written while its source couldn't be reached: between the watermark and `now`.

    Instances that have points from then are evaluated as ever, in data time: their senders kept what they had. All
    others stand still for as long as the outage took, with all of their clocks. Nobody's silence is absence.
    """
    state, since = evaluation.state, evaluation.state.watermark
    if now <= since:
        return evaluation.advance(points, now)
    # What rules that have just changed ask for is asked of the time before.
    before = evaluation.advance(NO_POINTS, since)
    quiet = _without_points(evaluation, points)
    stop_clocks(evaluation, quiet, now - since)
    note_outage(evaluation, since, now)
    evaluation.plan.instances.live[quiet] = False
    state.instances.due[quiet] = NEVER
    transitions = evaluation.advance(points, now)
    evaluation.activate_places(quiet.tolist())
    return [*before, *transitions]


def _without_points(evaluation: Evaluation, points: Points) -> Places:
    """The places that are evaluated and none of whose inputs is among these points."""
    plan = evaluation.plan
    kept = points.series[evaluation.window.keeps(points.series)]
    _, heard = plan.instances_of_series.follow(np.unique(kept))
    quiet = plan.instances.live[: plan.size].copy()
    quiet[heard] = False
    return np.flatnonzero(quiet)
