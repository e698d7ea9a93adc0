"""The table of alerts in Chromium, on the real bridge and RuleService: how long it takes, and how big it is."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import grpc
from playwright.sync_api import expect

from monitors.bridge.app import alerts_page
from monitors.mesh.times import now_nanos
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.app.installing import bundle_host
from tests.bridge.app.world import Host, Hosts, launched
from tests.bridge.conftest import HttpBridge
from tests.harness import LoopThread
from tests.rules.client import FIRING, SECOND, Client
from tests.rules.running import running

ALERTS, PAGE, ROUNDS = 200, 100, 5
# From the arrival of an answer until the browser has painted.
START_CLOCK = """() => {
  window.painted = new Promise((resolve) => addEventListener("message", () => {
    const begun = performance.now();
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begun)));
  }, { once: true, capture: true }));
}"""
SEND_ALL = """async (limit) => {
  const pages = [];
  for (let cursor; !pages.length || cursor; cursor = pages.at(-1).next_cursor) {
    const input = cursor ? { limit, cursor } : { limit };
    pages.push((await client.callTool({ name: "list_alerts", arguments: input })).structuredContent);
  }
  const alerts = pages.flatMap((page) => page.alerts);
  await bridge.sendToolResult({ content: [], structuredContent: { alerts, total: alerts.length } });
}"""


def main() -> None:
    """Prints the figures."""
    print(f"the document {len(alerts_page().encode()):,} bytes")
    with _table() as host:
        host.run("bridge.sendHostContextChange({ displayMode: 'fullscreen' })")
        painted, called = [], []
        for _ in range(ROUNDS):
            host.inside(START_CLOCK)
            host.run(SEND_ALL, PAGE)
            painted.append(host.inside("() => window.painted"))
            expect(host.rows).to_have_count(ALERTS)
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            host.show(limit=PAGE)
            expect(host.rows).to_have_count(PAGE)
            host.button("Next alerts").click()
            expect(host.summary).to_have_text(f"{PAGE + 1}–{ALERTS} of {ALERTS} alerts shown")
            called.append((time.perf_counter() - begun) * 1e3)
    _say(f"{ALERTS} alerts at once, from the answer to painted", painted)
    _say(f"{ALERTS} alerts in two pages, from the call to shown", called)


def _say(what: str, milliseconds: list[float]) -> None:
    print(f"{what:<52} median {median(milliseconds):5.0f} ms   worst {max(milliseconds):5.0f} ms")


@contextmanager
def _table() -> Iterator[Host]:
    loop = LoopThread()
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as name, loop.opened(running(Path(name))) as service:
        bridge = HttpBridge(MONITORS_SERVER=f"127.0.0.1:{service.port}", MONITORS_KEY=service.local_key)
        with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel, launched() as browser:
            client = Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop)
            rule, now = client.create("avg(cpu_percent, 5m) > 90 for 2m", title="CPU is busy"), now_nanos()
            client.record(
                *(
                    client.transition(rule, FIRING, now - number * SECOND, value=91.5, group={"cpu": f"{number}"})
                    for number in range(ALERTS)
                )
            )
            yield Hosts(browser, bundle_host(Path(name)), bridge.url).open(client)
        bridge.close()
    loop.close()


if __name__ == "__main__":
    main()
