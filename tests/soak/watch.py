"""What is looked at while the mesh runs: of each process what it holds, and of the mesh how far it is behind."""

import os
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import psutil
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.measure import cpu_seconds
from tests.soak.mesh import Mesh
from tests.soak.trend import Trend, steadily_grown, trend_of

MEGABYTE = 2**20
TASKS = "monitors_asyncio_tasks"
BEHIND = {
    "evaluation lag": ("evaluator", "monitors_evaluation_lag_seconds"),
    "unrecorded transitions": ("evaluator", "monitors_evaluation_unrecorded_transitions"),
    "outbox age": ("rules", "monitors_outbox_oldest_due_age_seconds"),
    "oldest due delivery": ("notifier", "monitors_deliveries_oldest_due_age_seconds"),
}
"""What says that work is left lying: in which service, and by which metric."""
LOGS = "logs of databases, MB"
"""What SQLite has yet to move into the databases."""
HELD = ("RSS", "files", "sockets", "threads", "tasks")
"""What each process holds: megabytes, open files without sockets, sockets, threads, and asyncio tasks."""


@dataclass
class Course:
    """What was measured of one thing, and when."""

    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        """Notes a value of now."""
        self.seconds.append(time.monotonic())
        self.values.append(value)

    @property
    def trend(self) -> Trend:
        """How it changes."""
        return trend_of(self.seconds, self.values)

    @property
    def grown(self) -> float:
        """By how much it has steadily grown at least."""
        return steadily_grown(self.seconds, self.values)


Courses = Mapping[tuple[str, str], Course]
"""By service, or `mesh`, and by what was measured."""


class Watch:
    """Looks at a mesh whenever it's told to."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh, self._pids, self._urls = mesh, mesh.pids, mesh.urls
        self.courses: dict[tuple[str, str], Course] = defaultdict(Course)

    def look(self, slowest: float) -> None:
        """Notes how everything is. `slowest` is how many seconds it took to tell of what was told last."""
        metrics = {service: _metrics(url) for service, url in self._urls.items()}
        for service, pid in self._pids.items():
            for name, value in _held(pid).items():
                self.courses[service, name].add(value)
            self.courses[service, "tasks"].add(metrics[service][TASKS])
            self.courses[service, "CPU"].add(cpu_seconds(pid))
        for name, (service, metric) in BEHIND.items():
            self.courses["mesh", name].add(metrics[service].get(metric, 0.0))
        self.courses["mesh", "time to tell"].add(slowest)
        logs = Path(self._mesh.served.home).glob("*.db-wal")
        self.courses["mesh", LOGS].add(sum(path.stat().st_size for path in logs) / MEGABYTE)

    def files(self) -> dict[str, int]:
        """The bytes of each database, what SQLite hasn't moved into it yet included."""
        return {
            path.name: sum(part.stat().st_size for part in path.parent.glob(f"{path.name}*"))
            for path in sorted(Path(self._mesh.served.home).glob("*.db"))
        }


def _metrics(url: str) -> dict[str, float]:
    with urlopen(url, timeout=60) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}


def _held(pid: int) -> dict[str, float]:
    files = [_target(pid, number) for number in os.listdir(f"/proc/{pid}/fd")]
    sockets = sum(file.startswith("socket:") for file in files)
    process = psutil.Process(pid)
    return {
        "RSS": process.memory_info().rss / MEGABYTE,
        "files": len(files) - sockets,
        "sockets": sockets,
        "threads": process.num_threads(),
    }


def _target(pid: int, number: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/fd/{number}")
    except OSError:
        # It was closed just now.
        return ""
