"""The rendered pods as processes of this machine, each at an address of its own with the chart's own ports, which find
each other by the chart's own names and are asked as a kubelet asks."""

import itertools
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.certificates import Authority
from tests.deploy.containers import certificate_files, entrypoint, put_certificate, put_secrets, variables
from tests.deploy.rendered import Object, of_kind, pod_of, secrets_of
from tests.names import Names, loopback_network
from tests.processes import BIN, wait_for
from tests.servers.backends import influx_addresses

START_SECONDS = 60.0
GRACE_SECONDS = 55.0
"""Of the 60 that a pod has, preStop has used 5."""
SERVED = ("rules", "evaluator", "notifier")
GRPC_PORT = 50051
HTTP_PORTS = {"evaluator": 8086, "bridge": 9122}


class Container:
    """A container's program at an address of this machine."""

    def __init__(self, target: str, container: Object, address: str, environment: Mapping[str, str]) -> None:
        self.container, self.address = container, address
        self._given = dict(environment)
        command = [*(container.get("command") or entrypoint(target)), *container.get("args", ())]
        self.command = [str(BIN / command[0]), *(address if word == "0.0.0.0" else word for word in command[1:])]
        self.log = Path(environment["HOME"]) / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Only what a new container would have: nothing of whoever runs the tests."""
        return {"PATH": os.environ["PATH"], **self._given}

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process
        return self._process.pid

    def run(self, *command: str, key: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command in it to its end, the container's own if none is named."""
        environment = {**self.environment, **({"MONITORS_KEY": key} if key else {})}
        return subprocess.run(
            command or self.command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    def start(self) -> None:
        """Starts it, and returns when its startup probe is content."""
        with self.log.open("ab") as log:
            process = self._process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_for(lambda: process.poll() is not None or self._is_well("startupProbe"), self.command[-1], START_SECONDS)
        assert process.poll() is None, f"{self.command} has ended: {self.log.read_text()[-2_000:]}"

    def stop(self) -> None:
        """SIGTERM; then it must end well within the time that the pod has."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            code = process.wait(GRACE_SECONDS)
            assert code in (0, -signal.SIGTERM), f"{self.command}: {self.log.read_text()[-2_000:]}"

    def kill(self) -> None:
        """SIGKILL, if it still runs."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(10)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs it until the context is left."""
        try:
            self.start()
            yield
            self.stop()
        finally:
            self.kill()

    def is_ready(self) -> bool:
        """Whether readiness and liveness would let calls come to it."""
        return self._is_well("readinessProbe") and self._is_well("livenessProbe")

    def _is_well(self, probe: str) -> bool:
        asked = self.container[probe]
        if "grpc" in asked:
            return health(f"{self.address}:{asked['grpc']['port']}", asked["grpc"]["service"])
        try:
            path = asked.get("httpGet", {}).get("path", "/healthz")
            with urllib.request.urlopen(f"http://{self.address}:{HTTP_PORTS['bridge']}{path}") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def name_of(component: str) -> str:
    """By which the others call it."""
    return f"monitors-{component}.monitors.svc"


def health(address: str, name: str) -> bool:
    """Whether the health at an address says that a name is served."""
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Pods:
    """The pods of a set of values on this machine. `extra` is what a set of values may add to each one's variables."""

    def __init__(self, name: str, folder: Path, names: Names, extra: Mapping[str, str] | None = None) -> None:
        self.names = names
        self._name, self._folder, self._extra = name, folder, extra or {}
        self._network, self._numbers = loopback_network(), itertools.count(1)
        self._authority = Authority(folder / "authority")

    def container(self, component: str, secrets: Mapping[str, str]) -> Container:
        """A new pod's, which nobody finds by its name yet."""
        pod = pod_of(self._name, component)
        [container] = pod["spec"]["containers"]
        number = next(self._numbers)
        address, folder = f"{self._network}.{number}", self._folder / f"{component}-{number}"
        given = variables(container, address)
        folder.mkdir()
        if secrets_of(pod):
            put_secrets(folder / "secrets", {name: secrets[name] for name in secrets_of(pod) if name in secrets})
        here = {
            "MONITORS_HOST": address, "MONITORS_HOME": str(folder / "home"),
            "MONITORS_METRICS_ADDRESS": f"{address}:0", "MONITORS_SECRETS_DIR": str(folder / "secrets"),
            **(influx_addresses(self._folder) if "INFLUXDB_URL" in given.keys() - self._extra.keys() else {}),
        }  # fmt: skip
        if "MONITORS_TLS_CERT_FILE" in given:
            here |= self.certificate(component)
        environment = {
            name: text.replace("dns:///", self.names.target("", 0).rpartition("/")[0] + "/")
            for name, text in {**given, **{name: text for name, text in here.items() if name in given}}.items()
        }
        # In a cluster a command in a pod asks that pod; here no other name or address is in the pod's certificate.
        environment.setdefault("MONITORS_SERVER", self.names.target(name_of(component), GRPC_PORT))
        target = "rules" if component == "migrate" else component
        return Container(target, container, address, {**environment, **self._extra, "HOME": str(folder)})

    def certificate(self, component: str) -> dict[str, str]:
        """The variables that name the files of a component's certificate, which is made if there is none."""
        folder = self._folder / "certificates" / component
        return certificate_files(folder) if folder.exists() else self.new_certificate(component)

    def new_certificate(self, component: str) -> dict[str, str]:
        """Makes what cert-manager would make, or replaces it in all pods of a component. Returns the variables that
        name its files."""
        wanted = of_kind(self._name, "Certificate")[f"monitors-{component}"]["spec"]
        return put_certificate(self._folder / "certificates" / component, self._authority, *wanted["dnsNames"])

    def publish(self, component: str, *ready: Container) -> None:
        """Lets the component's name stand for those pods."""
        self.names.addresses[name_of(component)] = [one.address for one in ready]
