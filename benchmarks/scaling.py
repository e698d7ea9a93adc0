"""What many rules and series take, by the measured cost of each: `make capacity ARGS="--rules 1000000"`.

Only arithmetic: docs/scaling.md tells where each cost was measured and with which command. Whoever has measured their
own gives them (`--evaluator-poll-us 4.2`); `--help` lists all.
"""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

T = TypeVar("T")

DAY = 86_400
HOURS_A_MONTH = 730
GIB = 2**30
SHARDS = 256
LOOK_PAUSE = 60
"""Seconds between two looks at which series there are, at most."""


@dataclass(frozen=True)
class Costs:
    """What one of each takes, and how much one of a kind bears. CPU is in microseconds of one vCPU."""

    series_bytes: float = 444
    """Memory of a series that is known, in every evaluator."""
    rule_bytes: float = 478
    """Memory of a rule that is known, in every evaluator."""
    evaluated_bytes: float = 764
    """Memory of a rule that is evaluated, with its series' 30 points, more, in the evaluator that does."""
    evaluation_us: float = 1.06
    """Evaluator: a rule of mixed conditions, once."""
    evaluator_poll_us: float = 23.0
    """Evaluator: to read a polled point, of monitors that it names."""
    influx_poll_us: float = 37.3
    """InfluxDB: to answer with a point of those."""
    evaluator_look_us: float = 15.1
    """Evaluator: to see of a series that it's known, and what it had last; of every series, wherever it's evaluated."""
    influx_look_us: float = 39.3
    """InfluxDB: to answer with that."""
    influx_series_bytes: float = 1_974
    """Memory that InfluxDB takes for each of its series; of 1.x's index in memory."""
    start_us: float = 37.3
    """From the start of an evaluator to the first step, for each rule."""
    rule_change_us: float = 1_600
    """Each evaluator: a rule that changed, until it's in force (99 of 100 take less)."""
    record_us: float = 75
    """RuleService: a transition recorded."""
    hand_on_us: float = 38
    """RuleService: a message recorded, handed to a notifier, and its end taken."""
    message_us: float = 191
    """Notifier: a webhook."""
    database_us: float = 104
    """MySQL primary: a transition, with all its rows; wall clock, with two vCPUs that it shares with RuleService."""
    delivery_us: float = 192
    """MySQL primary: a delivery claimed and finished; as above, with the notifier."""
    base_gib: float = 0.15
    """Memory of a process that has nothing to do."""


@dataclass(frozen=True)
class Demand:
    """What is asked for."""

    rules: float = 10e6
    series: float = 100e6
    period: float = 10
    """Seconds between two points of a series."""
    interval: float = 30
    """Seconds between two evaluations of a rule without a new point."""
    transitions_a_day: float = 2
    """Of a rule: a day with one alert that fires and resolves."""
    changes_a_day: float = 0.01
    """Of a rule: how many times it's changed by somebody."""
    peak: float = 10
    """How many times more transitions and changes there are in a bad hour than on average."""


@dataclass(frozen=True)
class Limits:
    """What one process or machine may be, and what it costs."""

    load: float = 0.5
    """Which share of its CPU a replica is to use, so that the others bear what one leaves behind."""
    vcpus: float = 2
    """Of a replica."""
    node_gib: float = 64
    """Memory that an evaluator may have at most."""
    start_seconds: float = 600
    """How long an evaluator may take to start."""
    look_seconds: float = 300
    """How long it may take until a new series is known."""
    database_vcpus: float = 16
    """Of the largest MySQL primary. Of more than two, half are taken to help."""
    database_rule_bytes: float = 2_000
    """Of its memory for a rule with what is open of it. Assumed."""
    influx_vcpus: float = 32
    """Of the largest InfluxDB."""
    influx_gib: float = 256
    vcpu_hour: float = 0.04
    """US dollars. Assumed: about what a general-purpose machine costs on demand."""
    gib_hour: float = 0.005
    """US dollars. Assumed, as above."""


@dataclass(frozen=True)
class Part:
    """A part of one mesh: its machines, and which share of what it can bear at most is used."""

    name: str
    replicas: int
    vcpus: float
    gib: float
    first_limit: str
    used: float
    """Of that limit, by what is asked for."""


def parts(demand: Demand, costs: Costs, limits: Limits) -> list[Part]:
    """What one mesh takes. A part that has more than one limit tells the one that it comes to first."""
    return [
        _evaluators(demand, costs, limits), _rule_services(demand, costs, limits), _notifiers(demand, costs, limits),
        _database(demand, costs, limits), _influxdb(demand, costs, limits), _redis(demand),
    ]  # fmt: skip


def meshes(demand: Demand, costs: Costs, limits: Limits) -> int:
    """Among how many meshes tenants must be divided, so that none of their parts is asked for more than it bears."""
    return next(
        count for count in range(1, 10_000)
        if max(part.used for part in parts(_of_each(demand, count), costs, limits)) <= 1
    )  # fmt: skip


def _evaluators(demand: Demand, costs: Costs, limits: Limits) -> Part:
    points = demand.rules / demand.period
    evaluations = points + demand.rules / demand.interval
    look = _look_seconds(demand, costs)
    looking = _cpus(demand.series * costs.evaluator_look_us) / (look + LOOK_PAUSE)
    cpu = _cpus(points * costs.evaluator_poll_us + evaluations * costs.evaluation_us)
    everywhere = costs.base_gib + (demand.series * costs.series_bytes + demand.rules * costs.rule_bytes) / GIB
    replicas = max(2, math.ceil(cpu / (limits.load * limits.vcpus - looking)))
    own = demand.rules * costs.evaluated_bytes / GIB / replicas
    changes = demand.rules * demand.changes_a_day / DAY * demand.peak
    first, used = max(
        (
            ("memory of every series and rule in each", (everywhere + own) / limits.node_gib),
            ("256 shards", replicas / SHARDS),
            ("time until a new series is known", look / limits.look_seconds),
            ("start", demand.rules * costs.start_us / 1e6 / limits.start_seconds),
            ("changed rules, applied by each", _cpus(changes * costs.rule_change_us) / limits.load),
        ),
        key=lambda limit: limit[1],
    )
    return Part("evaluators", replicas, limits.vcpus * replicas, (everywhere + own) * replicas, first, used)


def _rule_services(demand: Demand, costs: Costs, limits: Limits) -> Part:
    cpu = _cpus(_transitions(demand) * (costs.record_us + costs.hand_on_us))
    return _stateless("RuleService", cpu, costs, limits)


def _notifiers(demand: Demand, costs: Costs, limits: Limits) -> Part:
    return _stateless("notifiers", _cpus(_transitions(demand) * costs.message_us), costs, limits)


def _stateless(name: str, cpu: float, costs: Costs, limits: Limits) -> Part:
    replicas = max(2, math.ceil(cpu / limits.load / limits.vcpus))
    # All of them share one database, which is full before they are too many.
    return Part(name, replicas, limits.vcpus * replicas, (costs.base_gib + 0.35) * replicas, "the database", 0.0)


def _database(demand: Demand, costs: Costs, limits: Limits) -> Part:
    # What was measured took two vCPUs; half of more of them is taken to help.
    of_two = _cpus(_transitions(demand) * (costs.database_us + costs.delivery_us)) / limits.load
    vcpus = 2.0 if of_two <= 1 else 4 * of_two - 2
    gib = 4 + demand.rules * limits.database_rule_bytes / GIB
    return Part(
        "MySQL primary and standby", 2, 2 * vcpus, 2 * gib, "commits on one primary", vcpus / limits.database_vcpus
    )


def _influxdb(demand: Demand, costs: Costs, limits: Limits) -> Part:
    # Each evaluator looks for itself.
    looks = _cpus(demand.series * costs.influx_look_us) / (_look_seconds(demand, costs) + LOOK_PAUSE)
    looks *= _evaluators(demand, costs, limits).replicas
    vcpus = max(2.0, (_cpus(demand.rules / demand.period * costs.influx_poll_us) + looks) / limits.load)
    gib = 4 + demand.series * costs.influx_series_bytes / GIB
    used = {"CPU of polls and looks": vcpus / limits.influx_vcpus, "memory of its index": gib / limits.influx_gib}
    first = max(used, key=lambda name: used[name])
    return Part("InfluxDB, its reads by the mesh", 1, vcpus, gib, first, used[first])


def _redis(demand: Demand) -> Part:
    # It's told of changes, once for each commit, and holds a number for each tenant.
    return Part("Redis", 1, 1, 1, "none before the database's", 0.0)


def _look_seconds(demand: Demand, costs: Costs) -> float:
    """How long it takes an evaluator to learn which series there are; then it pauses."""
    return demand.series * _a_look(costs)


def _a_look(costs: Costs) -> float:
    return _cpus(costs.evaluator_look_us + costs.influx_look_us)


def _transitions(demand: Demand) -> float:
    """A second, in a bad hour."""
    return demand.rules * demand.transitions_a_day / DAY * demand.peak


def _cpus(microseconds_a_second: float) -> float:
    return microseconds_a_second / 1e6


def _of_each(demand: Demand, count: int) -> Demand:
    return Demand(
        demand.rules / count, demand.series / count, demand.period, demand.interval, demand.transitions_a_day,
        demand.changes_a_day, demand.peak,
    )  # fmt: skip


def month(part: Part, limits: Limits) -> float:
    """US dollars a month."""
    return (part.vcpus * limits.vcpu_hour + part.gib * limits.gib_hour) * HOURS_A_MONTH


def table(demand: Demand, costs: Costs, limits: Limits) -> str:
    """What is asked for in one mesh, and in as many as are needed, as Markdown."""
    count = meshes(demand, costs, limits)
    points, changes = demand.rules / demand.period, demand.rules * demand.changes_a_day / DAY * demand.peak
    asked = (
        f"{demand.rules:,.0f} rules, {demand.series:,.0f} series, a point of each in {demand.period:g} s. In a second "
        f"{points:,.0f} points are read; in a bad hour {_transitions(demand):,.0f} transitions, {changes:,.1f} changed "
        "rules."
    )
    lines = [asked, "", *_rows("in one mesh", parts(demand, costs, limits), 1, limits)]
    if count > 1:
        lines += ["", *_rows(f"in {count} meshes", parts(_of_each(demand, count), costs, limits), count, limits)]
    return "\n".join(lines)


def _rows(name: str, found: Sequence[Part], count: int, limits: Limits) -> list[str]:
    rows = [
        (
            part.name, f"{part.replicas:,}", f"{part.vcpus:,.0f}", f"{part.gib:,.0f}", f"{month(part, limits):,.0f}",
            f"{part.first_limit}: {part.used:.0%}" if part.used else part.first_limit,
        )
        for part in found
    ]  # fmt: skip
    total: Callable[[Callable[[Part], float]], str] = lambda of: f"{count * sum(map(of, found)):,.0f}"  # noqa: E731
    rows.append(
        (
            "all" if count == 1 else f"all {count} meshes", total(lambda part: part.replicas),
            total(lambda part: part.vcpus), total(lambda part: part.gib), total(lambda part: month(part, limits)), "",
        )
    )  # fmt: skip
    head = f"| {name}{'' if count == 1 else ', each'} | replicas | vCPU | GiB | $ a month | used of the first limit |"
    return [head, "|---|---:|---:|---:|---:|---|", *(f"| {' | '.join(row)} |" for row in rows)]


def ceilings(demand: Demand, costs: Costs, limits: Limits) -> str:
    """What fills one mesh, each for itself, as Markdown."""
    a_rule = _cpus(
        costs.evaluator_poll_us / demand.period + costs.evaluation_us * (1 / demand.period + 1 / demand.interval)
    )
    commits = limits.load * (limits.database_vcpus + 2) / 4
    found = (
        ("evaluators", "256 shards, each with one", SHARDS * limits.load * limits.vcpus / a_rule, "rules"),
        ("an evaluator", "memory", (limits.node_gib - costs.base_gib) * GIB / costs.series_bytes, "series"),
        ("an evaluator", "time until a new series is known", limits.look_seconds / _a_look(costs), "series"),
        ("an evaluator", "start", limits.start_seconds / _cpus(costs.start_us), "rules"),
        ("an evaluator", "rules that change", limits.load / _cpus(costs.rule_change_us), "a second"),
        ("MySQL", "commits on one primary", commits / _cpus(costs.database_us + costs.delivery_us), "transitions/s"),
        ("InfluxDB", "CPU of polls", limits.load * limits.influx_vcpus / _cpus(costs.influx_poll_us), "points/s"),
        ("InfluxDB", "memory of its index", (limits.influx_gib - 4) * GIB / costs.influx_series_bytes, "series"),
    )
    rows = [f"| {part} | {limit} | {_rounded(amount):,} {unit} |" for part, limit, amount, unit in found]
    return "\n".join(["| part | limit | one mesh is full at |", "|---|---|---:|", *rows])


def _rounded(amount: float) -> int:
    """To two digits."""
    return int(float(f"{amount:.2g}"))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    for kind in (Demand, Costs, Limits):
        for field in fields(kind):
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=float, default=field.default)
    given = parser.parse_args(arguments)
    asked = _made(Demand, given), _made(Costs, given), _made(Limits, given)
    print(table(*asked), ceilings(*asked), sep="\n\n")


def _made(kind: type[T], given: argparse.Namespace) -> T:
    return kind(**{field.name: getattr(given, field.name) for field in fields(kind)})  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
