"""Pages of a tenant's alerts, however many there are."""

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import say
from benchmarks.store.clients import Client, serving
from benchmarks.store.rows import TENANT, fill_alerts
from benchmarks.store.targets import Bare, Target
from monitors.v1.rule_service_pb2 import ListAlertsRequest

OPEN = 500
PAGE = 50
FURTHER = 200
"""Pages until the one that is measured as a later one."""
NEWEST = f"ORDER BY fire_time DESC, id DESC LIMIT {PAGE}"
WHAT = {
    "the newest": ("", ""),
    "a later page": ("", ""),
    "firing": ("state=firing", "AND open_key IS NOT NULL"),
    "of one severity": ("severity=critical", "AND severity = 4"),
}
"""What is asked for: the filter, and what it is in SQL."""


@dataclass(frozen=True)
class Pages:
    """Milliseconds that a page takes, through RuleService and with the plain driver."""

    name: str
    ours: tuple[float, float]
    """p50 and p99."""
    bare: tuple[float, float]


def measure(target: Target, count: int, calls: int) -> list[Pages]:
    """Fills a database with `count` alerts and reads pages of them, `calls` times each."""
    url = target.database("rules")
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder, target.bare(url) as bare:
        begun = time.monotonic()
        fill_alerts(bare, count, OPEN)
        say(f"{target.name}: {count:,} alerts were written in {time.monotonic() - begun:.0f} s")
        with serving(Path(folder) / "home", url) as client:
            return [_pages(client, bare, name, calls) for name in WHAT]


def _pages(client: Client, bare: Bare, name: str, calls: int) -> Pages:
    filtered, condition = WHAT[name]
    token, place = "", ""
    values: Sequence[Any] = (TENANT,)
    if name == "a later page":
        token, time_nanos, alert_id = _further(client)
        place = "AND (fire_time < ? OR (fire_time = ? AND id < ?))"
        values = (TENANT, time_nanos, time_nanos, alert_id)
    request = ListAlertsRequest(page_size=PAGE, page_token=token, filter=filtered)
    query = f"SELECT * FROM alerts WHERE tenant_id = ? {condition} {place} {NEWEST}"

    def ours() -> int:
        return len(client.stub.ListAlerts(request, metadata=client.tenant).alerts)

    def plain() -> int:
        return len(bare.execute(query, values))

    return Pages(name, _spread(ours, calls), _spread(plain, calls))


def _further(client: Client) -> tuple[str, int, str]:
    """The token of a later page, and the last alert before it."""
    token, last = "", None
    for _ in range(FURTHER):
        page = client.stub.ListAlerts(ListAlertsRequest(page_size=PAGE, page_token=token), metadata=client.tenant)
        if not page.next_page_token:
            break
        token, last = page.next_page_token, page.alerts[-1]
    assert last is not None
    return token, last.fire_time.ToNanoseconds(), last.id


def _spread(work: Callable[[], int], calls: int) -> tuple[float, float]:
    taken = []
    for _ in range(calls):
        begun = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - begun)
        if found != PAGE:
            raise RuntimeError(f"a page had {found} alerts")
    p50, p99 = np.percentile(np.array(taken) * 1e3, [50, 99])
    return float(p50), float(p99)
