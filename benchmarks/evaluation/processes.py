"""RuleService and EvaluatorService as processes of their own; no notifier, since nobody is to be told."""

import os
import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.processes import BIN, wait_for

STOP_SECONDS = 30.0


@dataclass(frozen=True)
class Served:
    """Two running services, by their process ids and gRPC ports."""

    rules_pid: int
    rules_port: int
    evaluator_pid: int
    evaluator_port: int

    @property
    def pids(self) -> tuple[int, int]:
        """Both processes."""
        return self.rules_pid, self.evaluator_pid


@contextmanager
def serving(home: Path) -> Iterator[Served]:
    """Runs `monitors serve rules` and `monitors serve evaluator` in a home, and stops them in order."""
    rules_port, evaluator_port, http_port = free_ports(3)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("MONITORS_")},
        "MONITORS_HOME": str(home),
        "MONITORS_SERVICE_TOKEN": secrets.token_hex(32),
        "MONITORS_RULES_ADDRESS": f"127.0.0.1:{rules_port}",
        "MONITORS_EVALUATOR_ADDRESS": f"127.0.0.1:{evaluator_port}",
        "MONITORS_HTTP_PORT": str(http_port),
    }
    with (
        _running("rules", home, {**environment, "MONITORS_GRPC_PORT": str(rules_port)}) as rules,
        _running("evaluator", home, {**environment, "MONITORS_GRPC_PORT": str(evaluator_port)}) as evaluator,
    ):
        yield Served(rules.pid, rules_port, evaluator.pid, evaluator_port)


@contextmanager
def _running(service: str, home: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[bytes]"]:
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
        wait_for(lambda: said in output.read_bytes() or process.poll() is not None, f"monitors serve {service}", 60)
        if process.poll() is not None:
            raise RuntimeError(f"monitors serve {service} ended: {output.read_text()[-2_000:]}")
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on. All are held until all are found, so that none comes twice."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports
