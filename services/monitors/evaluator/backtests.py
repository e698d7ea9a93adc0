"""Backtests: the stored points of a rule's series, read, evaluated off the loop, and what comes of it as a message."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.conditions import NotEvaluable
from monitors.evaluator.messages import to_key_message
from monitors.evaluator.model.backtest import Backtest, TooManyInstants
from monitors.evaluator.model.evaluation import Capacity
from monitors.evaluator.model.outcome import Interval, intervals, nearest_value, suggestions
from monitors.evaluator.model.points import Points
from monitors.evaluator.model.series import Series
from monitors.evaluator.model.spec import ConditionKind, RuleSpec
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Points as SamplePoints
from monitors.evaluator.points import thinned_places
from monitors.evaluator.readable import Readable, TooManyPoints
from monitors.evaluator.translate import to_spec
from monitors.evaluator.watch import too_far_back
from monitors.mesh.errors import InvalidField
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, SECOND, from_timestamp, now_nanos, to_duration, to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import mesh_pb2, monitor_pb2

LONGEST = 366 * DAY
MOST_INTERVALS = 1_000
MOST_MATCHES = 100
MOST_CURVES = 5
MOST_CURVE_POINTS = 1_000
WORTH_TELLING = 0.05
"""From this share of the time on it's told that there was no data at its beginning."""
AT_ONCE = 1
"""How many run at the same time: the live evaluation needs the processor more."""


class Backtests:
    """Tries rules on the past."""

    def __init__(self, store: Readable, catalogue: Catalogue, newest: Newest, capacity: Capacity) -> None:
        self._store, self._catalogue, self._newest, self._capacity = store, catalogue, newest, capacity
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def run(self, tenant: str, request: pb.BacktestRequest) -> pb.BacktestResponse:
        """What a rule would have done. Raises InvalidField."""
        start, until = _range(request)
        spec = _spec(tenant, request, start)
        known = self._series(spec)
        try:
            async with self._turn:
                found = await self._store.read_series([one.index for one in known], start - spec.span, until)
                return await asyncio.to_thread(self._try, spec, known, found, start, until)
        except (TooManyPoints, TooManyInstants) as error:
            raise InvalidField("start_time", f"{error}; ask for a shorter time range") from None

    def _try(
        self, spec: RuleSpec, known: list[Series], found: SamplePoints, start: int, until: int
    ) -> pb.BacktestResponse:
        indexes = np.array([one.index for one in known], dtype=np.int32)
        # The plan wants its series numbered from 0.
        series = [replace(one, index=number) for number, one in enumerate(known)]
        rows = np.searchsorted(indexes, found.series).astype(np.int32)
        own = Points(rows, found.times, self._store.numbers(found))
        seen = np.bincount(own.series[own.times <= start], minlength=len(series)) > 0
        seen |= np.array([self._was_seen(one, start) for one in known], dtype=np.bool_)
        backtest = Backtest(spec, series, own, seen, start, until, capacity=self._capacity)
        response = _response(backtest, spec, series)
        if spec.span > self._capacity.history:
            response.warnings.append(too_far_back(spec, self._capacity.history))
        return response

    def _was_seen(self, series: Series, start: int) -> bool:
        """Whether all that a series ever had lies before."""
        times = self._newest.of(series.index).times
        return bool(len(times)) and int(times[0]) <= start

    def _series(self, spec: RuleSpec) -> list[Series]:
        monitors = self._catalogue.monitors(spec.tenant) if spec.is_pattern else [spec.monitor]
        wanted = [one for name in monitors if spec.matches_monitor(name)
                  for one in self._catalogue.of_monitor(spec.tenant, name)]  # fmt: skip
        return sorted((one for one in wanted if spec.matches(one)), key=lambda one: one.index)


def _spec(tenant: str, request: pb.BacktestRequest, start: int) -> RuleSpec:
    try:
        return to_spec(mesh_pb2.WatchedRule(tenant_id=tenant, rule=request.rule), start)
    except NotEvaluable as error:
        raise InvalidField("rule.condition", str(error)) from None


def _range(request: pb.BacktestRequest) -> tuple[int, int]:
    if not request.HasField("start_time"):
        raise InvalidField("start_time", "missing; it's required")
    start = from_timestamp(request.start_time)
    until = from_timestamp(request.end_time) if request.HasField("end_time") else now_nanos()
    if not until - LONGEST <= start < until:
        raise InvalidField("start_time", "must lie before end_time, by 366 days at most; send another one")
    return start, until


def _response(backtest: Backtest, spec: RuleSpec, series: Sequence[Series]) -> pb.BacktestResponse:
    fired = intervals(backtest.transitions())
    lengths = [interval.length(backtest.until) for interval in fired]
    value = nearest_value(backtest, spec)
    response = pb.BacktestResponse(
        intervals=[_to_message(interval) for interval in fired[-MOST_INTERVALS:]],
        count=len(fired),
        total=to_duration(sum(lengths)),
        longest=to_duration(max(lengths, default=0)),
        matches=[_match(backtest, place, series) for place in backtest.places[:MOST_MATCHES].tolist()],
        suggestions=[
            pb.ThresholdSuggestion(threshold=one.threshold, alerts_per_day=one.alerts_per_day)
            for one in suggestions(backtest, spec)
        ],
        # Texts have no line that could be drawn.
        curves=[] if spec.of_text else _curves(backtest, fired),
        warnings=_warnings(backtest, len(fired), is_absence=spec.kind is ConditionKind.ABSENCE),
    )
    if value is not None:
        response.current_value = value
    if backtest.known_from is not None:
        response.data_start_time.CopyFrom(to_timestamp(backtest.known_from))
    return response


def _curves(backtest: Backtest, fired: Sequence[Interval]) -> list[pb.Curve]:
    """What some instances compared: those that fired first, then others."""
    keys = {backtest.plan.key_of(place): place for place in backtest.places.tolist()}
    shown = list(dict.fromkeys([*(interval.key for interval in fired), *keys]))[:MOST_CURVES]
    curves = []
    for key in shown:
        own = backtest.instance_of == keys[key]
        times, values = backtest.times[own], backtest.truths.values[own]
        some = thinned_places(times, values, MOST_CURVE_POINTS)
        curve = pb.Curve(monitor_id=key.monitor, group=dict(key.tags), times=times[some], values=values[some])
        curves.append(curve)
    return curves


def _warnings(backtest: Backtest, count: int, *, is_absence: bool) -> list[str]:
    found: list[str] = []
    if not len(backtest.places):
        found.append("nothing was tried: the rule matches no series that has reported")
    elif not is_absence:
        found += _gaps(backtest)
    if count > MOST_INTERVALS:
        found.append(f"only the latest {MOST_INTERVALS:,} of {count:,} intervals are listed")
    if backtest.is_shortened:
        found.append("more points than fit into memory: the oldest were left out; ask for a shorter time range")
    found += backtest.plan.problems.values()
    return found


def _gaps(backtest: Backtest) -> list[str]:
    """What of the time couldn't be tried."""
    asked, known_from = backtest.until - backtest.start, backtest.known_from
    if known_from is None:
        return ["there is no data in this time"]
    if known_from - backtest.start <= asked * WORTH_TELLING:
        return []
    tried = format_duration((backtest.until - known_from) // SECOND * SECOND)
    return [f"only the last {tried} were tried: nothing is known from before"]


def _match(backtest: Backtest, place: int, series: Sequence[Series]) -> monitor_pb2.SeriesKey:
    """The instance as the first of its series, with its own tags."""
    first = series[int(backtest.plan.instances.series[place])].key
    return to_key_message(first._replace(tags=backtest.plan.key_of(place).tags))


def _to_message(interval: Interval) -> pb.FiringInterval:
    message = pb.FiringInterval(
        monitor_id=interval.key.monitor, group=dict(interval.key.tags), start_time=to_timestamp(interval.start)
    )
    if interval.end is not None:
        message.end_time.CopyFrom(to_timestamp(interval.end))
    if interval.value is not None:
        message.value = interval.value
    return message
