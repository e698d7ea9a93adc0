"""How long it took from a point to its alert."""

from collections.abc import Sequence
from dataclasses import dataclass

from tests.crash.invariants import Told


@dataclass(frozen=True)
class Gaps:
    """Seconds from the times of points to the arrivals of what was told of them first."""

    median: float
    p99: float
    longest: float


def check_gaps(told: Told, most: float) -> Gaps:
    """S3: whoever died, froze or was cut off, nobody was told of a point later than `most` seconds after it. Raises
    AssertionError."""
    first: dict[tuple[str, str, str], float] = {}
    for entry in told.taken:
        key = (entry.path, entry.event["data"]["alert_id"], entry.event["type"])
        first[key] = min(first.get(key, entry.arrived), entry.arrived)
    found = sorted(
        (first[tenant, alert.id, kind] - moment.ToNanoseconds() / 1e9, alert.monitor_id, kind)
        for tenant, alerts in told.alerts.items()
        for alert in alerts
        for kind, moment in (("alert.firing", alert.fire_time), ("alert.resolved", alert.resolve_time))
        if (tenant, alert.id, kind) in first
    )
    longest, monitor, kind = found[-1]
    assert longest <= most, f"S3: {kind} of {monitor} was told after {longest:.1f} s, more than {most:.1f} s"
    return Gaps(_of(found, 0.5), _of(found, 0.99), longest)


def _of(found: Sequence[tuple[float, str, str]], share: float) -> float:
    return found[int((len(found) - 1) * share)][0]
