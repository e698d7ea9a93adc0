"""Starts the mesh as operators do: `monitors serve rules`, `evaluator` and `notifier`, a process each."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import grpc

from tests import forked
from tests.ports import free_port as free_port
from tests.processes import START_SECONDS, wait_for
from tests.servers.backends import addresses

SERVICE_TOKEN = "served-mesh-" + "0123456789abcdef" * 2


class ServedProcess:
    """One `monitors serve …`, or what `command` has in the place of `monitors`. What it writes, to both outputs, is in
    `output`."""

    def __init__(self, service: str, port: int, environment: Mapping[str, str], command: Sequence[str] = ()) -> None:
        self.service, self.port = service, port
        self._command = command
        self.output: list[str] = []
        self.environment = environment
        self._process: subprocess.Popen[str] | forked.Forked | None = None
        self._reader: threading.Thread | None = None

    @property
    def address(self) -> str:
        """Where it answers gRPC."""
        return f"127.0.0.1:{self.port}"

    @property
    def text(self) -> str:
        """All that it has written."""
        return "".join(self.output)

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it was started and isn't there any more."""
        return self._process is not None and self._process.poll() is not None

    def launch(self) -> None:
        """Starts it without waiting for anything."""
        self.output = []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("MONITORS_")}
        environment = {**inherited, "MONITORS_GRPC_PORT": str(self.port), **self.environment}
        process = self._process = self._started(environment)
        self._reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._reader.start()

    def _started(self, environment: Mapping[str, str]) -> subprocess.Popen[str] | forked.Forked:
        if not self._command:
            return forked.fork("serve", self.service, environment=environment)
        return subprocess.Popen(
            [*self._command, "serve", self.service], env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def wait_until_ready(self) -> None:
        """Waits until it says that it listens. Raises AssertionError with its output if it ends instead."""
        process = self._process
        assert process is not None
        wait_for(lambda: self._listens() or process.poll() is not None, f"the {self.service} service", START_SECONDS)
        if process.poll() is not None:
            self.end(signal.SIGTERM)
            raise AssertionError(f"the {self.service} service ended: {self.text}")

    def _listens(self) -> bool:
        return f"monitors {self.service} on " in self.text

    def _read(self, process: subprocess.Popen[str] | forked.Forked) -> None:
        assert process.stdout is not None
        self.output.extend(iter(process.stdout.readline, ""))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ends it by a signal. Returns the exit code; 0 if it doesn't run."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.send_signal(number)
        code = process.wait(30)
        assert self._reader is not None
        assert process.stdout is not None
        self._reader.join(10)
        process.stdout.close()
        return code


class ServedMesh:
    """The three services as processes with one home folder. `environment` names the backends, and all that is set.

    `command` stands in for `monitors`.
    """

    def __init__(
        self,
        home: Path,
        environment: Mapping[str, str] | None = None,
        command: Sequence[str] = (),
    ) -> None:
        self.home = home
        ports = {service: free_port() for service in ("rules", "evaluator", "notifier")}
        self.http_port = free_port()
        self.environment = {
            "MONITORS_HOME": str(home),
            "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN,
            "MONITORS_HTTP_PORT": str(self.http_port),
            "MONITORS_RULES_ADDRESS": f"127.0.0.1:{ports['rules']}",
            "MONITORS_EVALUATOR_ADDRESS": f"127.0.0.1:{ports['evaluator']}",
            **addresses(home, environment),
            **(environment or {}),
        }
        self.rules, self.evaluator, self.notifier = (
            ServedProcess(service, port, self.environment, command) for service, port in ports.items()
        )
        self.credentials: dict[str, str] = {}
        """Of tenants that have others than their first API keys."""
        self.processes = (self.rules, self.evaluator, self.notifier)

    def start(self) -> None:
        """Starts all three and waits until they listen."""
        for process in self.processes:
            process.launch()
        for process in self.processes:
            process.wait_until_ready()

    def stop(self) -> list[int]:
        """Ends all three in order. Returns their exit codes."""
        return [process.end() for process in reversed(self.processes)]

    def key(self, tenant: str = "local") -> str:
        """A tenant's credential: its first API key, unless it has another one."""
        if tenant in self.credentials:
            return self.credentials[tenant]
        file = self.home / "key" if tenant == "local" else self.home / "tenants" / f"{tenant}.key"
        return file.read_text().strip()

    def metadata(self, tenant: str = "local") -> tuple[tuple[str, str], ...]:
        """What a gRPC client of a tenant sends."""
        return (("authorization", f"Bearer {self.key(tenant)}"),)

    def client_environment(self, service: ServedProcess, tenant: str = "local") -> dict[str, str]:
        """What `monitors` and `monitors-mcp` need to ask one of the services for a tenant."""
        return {
            **os.environ,
            "MONITORS_HOME": str(self.home),
            "MONITORS_SERVER": service.address,
            "MONITORS_KEY": self.key(tenant),
        }

    @contextmanager
    def channel(self, service: ServedProcess) -> Iterator[grpc.Channel]:
        """A channel to one of the services."""
        with grpc.insecure_channel(service.address) as channel:
            yield channel


@contextmanager
def served_mesh(home: Path, environment: Mapping[str, str] | None = None) -> Iterator[ServedMesh]:
    """Runs the three services and stops them in order; each has to end well."""
    mesh = ServedMesh(home, environment)
    try:
        mesh.start()
        yield mesh
    finally:
        codes = mesh.stop()
    assert codes == [0, 0, 0], [process.text[-2_000:] for process in mesh.processes]
