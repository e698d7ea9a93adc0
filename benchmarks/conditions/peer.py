"""Prometheus with the same rules as PromQL, one rule each, on the same series.

It scrapes and evaluates as often as it can, so that its windows hold fewer points than ours, and they are still short
when it's measured, both in its favour. Of what it can't say it gets the usual stand-in: for the robust score that by
mean and standard deviation, and for counted points the minimum.
"""

from itertools import count
from typing import Any

import numpy as np

from benchmarks.conditions.load import COUNTERS, FIELDS, GAUGES, Load, monitor_name
from benchmarks.evaluation.prometheus import FAILED, GROUP, Page, PeerResult, Prometheus, measure_groups
from monitors.evaluator.model.series import Floats

INTERVAL = 60


def measure_peer(monitors: int, interval: int = INTERVAL) -> PeerResult:
    """All kinds of rules, in groups of a thousand."""
    load, ticks = Load(monitors), count()
    rules = [
        {
            "alert": f"High{number}",
            "expr": kind.expression(load, monitor),
            "labels": {"user": f"user{number}"},
            "annotations": {"summary": "{{ $labels.monitor }} is at {{ $value }}"},
        }
        for number, (monitor, kind) in enumerate(load.kinds)
    ]
    groups: list[dict[str, Any]] = [
        {"name": f"g{start}", "rules": rules[start : start + GROUP]} for start in range(0, len(rules), GROUP)
    ]

    def values() -> Floats:
        """The next tick's, with counters that rise by a base in each second of the scrapes' interval."""
        tick = next(ticks)
        found = load.values(tick).reshape(load.monitors, -1)
        found[:, GAUGES : GAUGES + COUNTERS] = np.round(load.bases * tick * interval, 2)[:, None]
        return found.reshape(-1)

    def check(peer: Prometheus) -> None:
        failed, firing = peer.counter(FAILED), peer.firing()
        if failed or firing < load.always_firing:
            raise RuntimeError(f"{failed:.0f} of Prometheus' evaluations failed, and {firing:,} alerts fire")

    pages = [Page("values", _samples(load), values, interval)]
    return measure_groups(
        load.rules, pages, groups, interval, begun=lambda peer: peer.firing() >= load.always_firing // 2, check=check
    )


def _samples(load: Load) -> list[str]:
    found = []
    for monitor in range(load.monitors):
        for field, tags in FIELDS:
            labels = ",".join(f'{name}="{value}"' for name, value in (("monitor", monitor_name(monitor)), *tags))
            found.append(f"{field}{{{labels}}} ")
    return found
