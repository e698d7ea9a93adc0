"""The services as processes of their own; a notifier only where somebody is to be told."""

import http.client
import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from tests.processes import BIN, wait_for

START_SECONDS = 600.0
STOP_SECONDS = 120.0
SERVICE_TOKEN = secrets.token_hex(32)
Ports = Sequence[int]
"""Of RuleService, of the evaluator, and of the evaluator's HTTP endpoint."""


@dataclass(frozen=True)
class Served:
    """Two running services, by their process ids and gRPC ports."""

    rules_pid: int
    rules_port: int
    evaluator_pid: int
    evaluator_port: int
    http_port: int

    @property
    def pids(self) -> tuple[int, int]:
        """Both processes."""
        return self.rules_pid, self.evaluator_pid

    def is_evaluating(self) -> bool:
        """Whether the rules are there and what comes is evaluated."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=60)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == HTTPStatus.OK
        except OSError:
            return False
        finally:
            connection.close()


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """Runs `monitors serve rules` and `monitors serve evaluator` in a home, and stops them in order."""
    ports = free_ports(3)
    with serving_rules(home, ports) as rules_pid, serving_evaluator(home, ports, rules_pid) as served:
        yield served


@contextmanager
def serving_rules(home: Path, ports: Ports, settings: Mapping[str, str] | None = None) -> Iterator[int]:
    """Runs RuleService alone, with settings of its environment. Gives its process id."""
    with _running("rules", home, ports, ports[0], settings) as process:
        yield process.pid


@contextmanager
def serving_evaluator(home: Path, ports: Ports, rules_pid: int) -> Iterator[Served]:
    """Runs the evaluator beside a RuleService that runs on the same ports."""
    with _running("evaluator", home, ports, ports[1]) as process:
        yield Served(rules_pid, ports[0], process.pid, ports[1], ports[2])


@contextmanager
def serving_notifier(home: Path, ports: Ports, own_port: int, settings: Mapping[str, str]) -> Iterator[int]:
    """Runs the notifier beside a RuleService, with settings of its environment. Gives its process id."""
    with _running("notifier", home, ports, own_port, settings) as process:
        yield process.pid


@contextmanager
def _running(
    service: str, home: Path, ports: Ports, own_port: int, settings: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[bytes]"]:
    rules_port, evaluator_port, http_port = ports
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MONITORS_")},
        "MONITORS_HOME": str(home),
        "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN,
        "MONITORS_RULES_ADDRESS": f"127.0.0.1:{rules_port}",
        "MONITORS_EVALUATOR_ADDRESS": f"127.0.0.1:{evaluator_port}",
        "MONITORS_GRPC_PORT": str(own_port),
        "MONITORS_HTTP_PORT": str(http_port),
        # Whoever measures needs no protection from themselves.
        "MONITORS_DEFAULT_TIER": "unlimited",
        **(settings or {}),
    }
    output = home / f"{service}.out"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [str(BIN / "monitors"), "serve", service],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        said = f"monitors {service} on".encode()
        wait_for(
            lambda: said in output.read_bytes() or process.poll() is not None, f"monitors {service}", START_SECONDS
        )
        if process.poll() is not None:
            raise RuntimeError(f"monitors serve {service} ended: {output.read_text()[-2_000:]}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. All are held until all are found, so that none comes twice."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
