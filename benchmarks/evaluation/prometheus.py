"""Prometheus on the same load: a rule for each series, and its own best form, one rule that joins the thresholds.

Its CPU contains what ours does: each evaluation has new points, which it scrapes and stores. Nobody is told of alerts.
"""

import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import urlopen

from benchmarks.evaluation.load import Load, monitor_name
from benchmarks.evaluation.processes import free_ports
from benchmarks.measure import Spread, cpu_seconds, rss_bytes, say
from monitors.evaluator.model.series import Floats
from tests.processes import BIN, wait_for

CACHE = BIN.parent / "prometheus"
"""Where Debian's package is unpacked if there is no `prometheus` on the path; `make clean` removes it."""
GROUP = 1_000
ONE_TO_ONE_INTERVAL = 20
JOIN_INTERVAL = 5
THRESHOLD_INTERVAL = 60
"""Thresholds change rarely, so that they are scraped rarely, in Prometheus' favour."""
WARM_UP_INTERVALS = 2
WINDOWS, WINDOW_SECONDS = 3, 20
DONE, FAILED, MISSED = (
    "prometheus_rule_evaluations_total",
    "prometheus_rule_evaluation_failures_total",
    "prometheus_rule_group_iterations_missed_total",
)


class NoPrometheus(Exception):
    """There is no Prometheus here and none can be brought. The message says how to get one."""


@dataclass(frozen=True)
class PeerResult:
    """One form of the rules. `memory` is in bytes, with the series."""

    rules: int
    interval: int
    per_cpu_second: Spread
    """Comparisons of a rule's series per CPU second of the process, over several windows."""
    memory: int
    missed: int
    """Evaluations that it skipped because it was behind."""

    @property
    def name(self) -> str:
        """The interval and what was skipped, for the table."""
        return f"every {self.interval} s" + (f", {self.missed} skipped" if self.missed else "")


def find_prometheus() -> Path:
    """The binary: on the path, or out of Debian's package, which is unpacked and not installed.

    Raises NoPrometheus.
    """
    found = shutil.which("prometheus")
    if found:
        return Path(found)
    unpacked = CACHE / "usr" / "bin" / "prometheus"
    if not unpacked.exists():
        _unpack(CACHE)
    return unpacked


def _unpack(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPrometheus("there is no `prometheus` on the path, and no apt-get to bring it; install Prometheus")
    say("bringing Debian's prometheus")
    folder.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-qq", "prometheus"]
    done = subprocess.run(download, cwd=folder, capture_output=True, text=True)
    if done.returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        done = subprocess.run(download, cwd=folder, capture_output=True, text=True)
    packages = sorted(folder.glob("prometheus_*.deb"))
    if not packages:
        raise NoPrometheus(
            f"apt-get can't bring prometheus ({done.stderr.strip()[-200:]}); run `apt-get update` as root, or put "
            "Prometheus on the path"
        )
    subprocess.run(["dpkg-deb", "-x", packages[-1].name, "."], cwd=folder, check=True)
    packages[-1].unlink()


def prometheus_version() -> str:
    """`prometheus 2.42.0+ds`."""
    done = subprocess.run([find_prometheus(), "--version"], capture_output=True, text=True, check=True)
    return " ".join((done.stdout or done.stderr).split()[:3]).replace(", version", "")


def measure_one_to_one(size: int, interval: int = ONE_TO_ONE_INTERVAL) -> PeerResult:
    """A rule for each series, each with its own threshold, in groups of a thousand."""
    load = Load(size)
    groups = [
        {"name": f"g{start}", "rules": [_rule(number, load) for number in range(start, min(start + GROUP, size))]}
        for start in range(0, size, GROUP)
    ]
    return _measure(load, groups, interval, evaluations=1)


def measure_join(size: int, interval: int = JOIN_INTERVAL) -> PeerResult:
    """One rule over all series, whose thresholds are series too: N comparisons an evaluation."""
    rule = {
        "alert": "High",
        "expr": "monitor_value > on(monitor_id) monitor_threshold",
        "annotations": {"summary": "{{ $labels.monitor_id }} is at {{ $value }}"},
    }
    return _measure(Load(size), [{"name": "join", "rules": [rule]}], interval, evaluations=size)


def _rule(number: int, load: Load) -> dict[str, Any]:
    return {
        "alert": f"High{number}",
        "expr": f'monitor_value{{monitor_id="{monitor_name(number)}"}} > {load.thresholds[number]}',
        "labels": {"user": f"user{number}"},
        "annotations": {"summary": "{{ $labels.monitor_id }} is at {{ $value }}"},
    }


def _measure(load: Load, groups: list[dict[str, Any]], interval: int, *, evaluations: int) -> PeerResult:
    names, ticks = [f'{{monitor_id="{monitor_name(number)}"}} ' for number in range(load.size)], count()
    pages = [Page("values", [f"monitor_value{name}" for name in names], lambda: load.values(next(ticks)), interval)]
    if evaluations > 1:
        thresholds = [f"monitor_threshold{name}" for name in names]
        pages.append(Page("thresholds", thresholds, lambda: load.thresholds, THRESHOLD_INTERVAL))
    return measure_groups(
        load.size, pages, groups, interval, evaluations,
        begun=lambda peer: peer.firing() >= load.always_firing,
        check=lambda peer: peer.check(load.always_firing, load.spikes),
    )  # fmt: skip


def measure_groups(
    size: int, pages: Sequence["Page"], groups: list[dict[str, Any]], interval: int, evaluations: int = 1, *,
    begun: Callable[["Prometheus"], bool], check: Callable[["Prometheus"], None],
) -> PeerResult:  # fmt: skip
    """Prometheus with groups of rules, each of which makes so many evaluations. It's measured once its alerts have
    `begun` and two more intervals have passed; `check` raises RuntimeError if it then does something else."""
    with (
        tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder,
        _target(pages) as target,
        _running(Path(folder), target, pages, groups, interval) as peer,
    ):
        rules, pause = sum(len(group["rules"]) for group in groups), threading.Event()
        patience = 2 * THRESHOLD_INTERVAL + 5 * interval
        # Thresholds may be scraped a whole interval of theirs after the start; without them nothing is compared.
        wait_for(lambda: begun(peer), "Prometheus' first alerts", patience, every=1.0)
        wanted = peer.counter(DONE) + WARM_UP_INTERVALS * rules
        wait_for(lambda: peer.counter(DONE) >= wanted, "Prometheus to warm up", patience, every=1.0)
        missed, rates = peer.counter(MISSED), []
        for number in range(WINDOWS):
            done, cpu = peer.counter(DONE), cpu_seconds(peer.pid)
            pause.wait(max(WINDOW_SECONDS, interval))
            done, cpu = peer.counter(DONE) - done, cpu_seconds(peer.pid) - cpu
            rates.append(done * evaluations / cpu)
            say(f"Prometheus, {rules:,} rules, window {number + 1}: {rates[-1]:,.0f} evaluations per CPU-s")
        check(peer)
        missed = peer.counter(MISSED) - missed
        return PeerResult(size, interval, Spread.of(rates), rss_bytes(peer.pid), int(missed))


@dataclass(frozen=True)
class Page:
    """What is scraped together every so many seconds: sample by sample its name with labels, and each time its values.

    Everything on one page has a new value with each scrape.
    """

    name: str
    samples: Sequence[str]
    values: Callable[[], Floats]
    interval: int

    def body(self) -> bytes:
        """The next scrape's answer."""
        numbers = self.values().tolist()
        return "".join(f"{name}{number}\n" for name, number in zip(self.samples, numbers, strict=True)).encode()


@dataclass(frozen=True)
class Prometheus:
    """One that runs."""

    pid: int
    address: str
    interval: int

    def counter(self, name: str) -> float:
        """The sum of a metric of its own over all labels."""
        lines = self.page("/metrics").splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.split("{")[0].split(" ")[0] == name)

    def page(self, path: str) -> str:
        """A page of its."""
        with urlopen(f"http://{self.address}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def is_ready(self) -> bool:
        """Whether it serves."""
        try:
            return bool(self.page("/-/ready"))
        except (URLError, ConnectionError):
            return False

    def check(self, always: int, spikes: int) -> None:
        """Raises RuntimeError if an evaluation failed or the alerts aren't those that a load makes."""
        now = self.firing()
        lately = self._count(f'count_over_time(ALERTS{{alertstate="firing"}}[{4 * self.interval}s])')
        failed = self.counter(FAILED)
        # While groups are being evaluated some have the lifted series of the last scrape, some of the one before.
        if failed or not always <= now <= always + 2 * spikes:
            raise RuntimeError(f"{failed:.0f} of Prometheus' evaluations failed, and {now:,} alerts fire")
        if lately < always + 2 * spikes:
            raise RuntimeError(f"only {lately:,} alerts fired during Prometheus' last four evaluations")

    def firing(self) -> int:
        """How many alerts fire."""
        return self._count('ALERTS{alertstate="firing"}')

    def _count(self, expression: str) -> int:
        answer = json.loads(self.page(f"/api/v1/query?query={quote(f'count({expression})')}"))
        result = answer["data"]["result"]
        return int(result[0]["value"][1]) if result else 0


@contextmanager
def _running(
    folder: Path, target: str, pages: Sequence[Page], groups: list[dict[str, Any]], interval: int
) -> Iterator[Prometheus]:
    """Runs Prometheus on a free port of this machine. JSON is YAML, so that its files need no library."""
    (port,) = free_ports(1)
    config = {
        "global": {"evaluation_interval": f"{interval}s"},
        "rule_files": [str(folder / "rules.json")],
        "scrape_configs": [
            {
                "job_name": page.name,
                "scrape_interval": f"{page.interval}s",
                "scrape_timeout": f"{page.interval}s",
                "metrics_path": f"/{page.name}",
                "static_configs": [{"targets": [target]}],
                # One series has the same labels in both, so that they join on the monitor alone.
                "metric_relabel_configs": [{"regex": "instance|job", "action": "labeldrop"}],
            }
            for page in pages
        ],
    }
    (folder / "rules.json").write_text(json.dumps({"groups": groups}))
    (folder / "config.json").write_text(json.dumps(config))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [
                str(find_prometheus()),
                f"--config.file={folder / 'config.json'}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
                "--log.level=warn",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    peer = Prometheus(process.pid, f"127.0.0.1:{port}", interval)
    try:
        wait_for(lambda: peer.is_ready() or process.poll() is not None, "Prometheus", 60)
        if process.poll() is not None:
            raise RuntimeError(f"Prometheus ended: {(folder / 'output').read_text()[-2_000:]}")
        yield peer
    finally:
        process.kill()
        process.wait()


@contextmanager
def _target(pages: Sequence[Page]) -> Iterator[str]:
    """What Prometheus scrapes. Gives host and port."""
    by_path = {f"/{page.name}": page for page in pages}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = by_path[self.path].body()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
