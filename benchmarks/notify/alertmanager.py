"""Debian's Alertmanager on the same load: each alert is a group of its own, told by one webhook.

Its log of notifications is in memory and written every 15 minutes: nothing that it was told is durable.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

from benchmarks.evaluation.processes import free_ports
from benchmarks.measure import cpu_seconds, say
from benchmarks.notify.endpoints import Endpoints
from tests.processes import BIN, wait_for

CACHE = BIN.parent / "alertmanager"
"""Where Debian's package is unpacked if there is none on the path; `make clean` removes it."""
NAMES = ("prometheus-alertmanager", "alertmanager")
TEMPLATES = Path("/usr/share/prometheus/alertmanager")
"""Debian's build reads them from there, wherever it's unpacked."""
A_POST = 500
ROUTE = {
    "receiver": "hook",
    "group_by": ["..."],
    "group_wait": "0s",
    "group_interval": "5m",
    "repeat_interval": "4h",
}


class NoAlertmanager(Exception):
    """There is none here and none can be brought. The message says how to get one."""


@dataclass(frozen=True)
class Burst:
    """So many alerts at once: until the last webhook arrived, and CPU seconds of all processes, each by its name."""

    count: int
    seconds: float
    cpu: dict[str, float]

    @property
    def per_cpu_second(self) -> float:
        """Webhooks per CPU second of all processes together."""
        return self.count / sum(self.cpu.values())


def find_alertmanager() -> Path:
    """The binary: on the path, or out of Debian's package, which is unpacked. Raises NoAlertmanager."""
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    unpacked = CACHE / "usr" / "bin" / NAMES[0]
    if not unpacked.exists():
        _unpack(CACHE)
    if not TEMPLATES.exists():
        _bring_templates()
    return unpacked


def _bring_templates() -> None:
    try:
        shutil.copytree(CACHE / TEMPLATES.relative_to("/"), TEMPLATES)
    except OSError as error:
        raise NoAlertmanager(f"{TEMPLATES} can't be made ({error.strerror}); install {NAMES[0]}") from error


def _unpack(folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoAlertmanager("there is no Alertmanager on the path, and no apt-get to bring it; install one")
    say("bringing Debian's prometheus-alertmanager")
    folder.mkdir(parents=True, exist_ok=True)
    download = ["apt-get", "download", "-qq", NAMES[0]]
    done = subprocess.run(download, cwd=folder, capture_output=True, text=True)
    if done.returncode and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        done = subprocess.run(download, cwd=folder, capture_output=True, text=True)
    packages = sorted(folder.glob(f"{NAMES[0]}_*.deb"))
    if not packages:
        raise NoAlertmanager(
            f"apt-get can't bring {NAMES[0]} ({done.stderr.strip()[-200:]}); run `apt-get update` as root, or put "
            "Alertmanager on the path"
        )
    subprocess.run(["dpkg-deb", "-x", packages[-1].name, "."], cwd=folder, check=True)
    packages[-1].unlink()


def alertmanager_version() -> str:
    """`alertmanager 0.25.0`."""
    done = subprocess.run([find_alertmanager(), "--version"], capture_output=True, text=True, check=True)
    return " ".join((done.stdout or done.stderr).split()[:3]).replace(", version", "")


def settings() -> str:
    """What it runs with, for the table."""
    return f"route {json.dumps(ROUTE)}, send_resolved true"


def measure_burst(endpoints: Endpoints, count: int) -> Burst:
    """`count` alerts, 500 in a post."""
    endpoints.look()
    endpoints.arrived.clear()
    (port,) = free_ports(1)
    config = {
        "route": ROUTE,
        "receivers": [{"name": "hook", "webhook_configs": [{"url": endpoints.url(), "send_resolved": True}]}],
    }
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        file = Path(folder) / "config.yml"
        file.write_text(json.dumps(config))
        command = [
            str(find_alertmanager()),
            f"--config.file={file}",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
        ]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(lambda: _is_ready(port), "Alertmanager", 60)
                cpu, begun = cpu_seconds(process.pid), time.time()
                for start in range(0, count, A_POST):
                    _post(port, range(start, min(start + A_POST, count)))
                endpoints.wait_for(count)
                seconds = max(endpoints.arrived.values()) - begun
                return Burst(count, seconds, {"alertmanager": cpu_seconds(process.pid) - cpu})
            finally:
                process.terminate()


def _is_ready(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError):
        return False


def _post(port: int, numbers: range) -> None:
    alerts = [
        {
            "labels": {"alertname": "High", "monitor_id": f"mon{number}", "severity": "medium"},
            "annotations": {"summary": f"mon{number} is high", "condition": "value > 10"},
        }
        for number in numbers
    ]
    request = Request(
        f"http://127.0.0.1:{port}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=60) as answer:
        answer.read()
