"""The commands of the rendered pods, run with their variables as processes on real servers, asked as a kubelet asks."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.certificates import Authority
from tests.deploy.containers import SECRETS, entrypoint, put_certificate, put_secrets, variables
from tests.deploy.rendered import MESHES, Object, of_kind, pod_of, secrets_of
from tests.ports import free_port
from tests.processes import BIN, wait_for
from tests.servers.backends import influx_addresses
from tests.servers.mariadb import shared_server
from tests.servers.redis import shared_redis

START_SECONDS = 60.0
SERVED = ("rules", "evaluator", "notifier")
pytestmark = pytest.mark.process


class Container:
    """A container's program. What the pod's network and volumes would be is on this machine: `places` has it."""

    def __init__(self, target: str, container: Object, environment: Mapping[str, str]) -> None:
        self.container, self.environment = container, dict(environment)
        command = [*(container.get("command") or entrypoint(target)), *container.get("args", ())]
        self.command = [str(BIN / command[0]), *command[1:]]

    def run(self, *command: str, key: str = "") -> subprocess.CompletedProcess[str]:
        """Runs a command in it to its end, the container's own if none is named."""
        environment = {**self._environment, **({"MONITORS_KEY": key} if key else {})}
        return subprocess.run(
            command or self.command, env=environment, capture_output=True, text=True, timeout=120, check=False
        )

    @property
    def _environment(self) -> dict[str, str]:
        # Only what a new container would have: nothing of whoever runs the tests.
        return {"PATH": os.environ["PATH"], "HOME": self.environment["HOME"], **self.environment}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Runs it until the context is left; then it must end well within the time that the pod has."""
        with subprocess.Popen(
            self.command, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            try:
                wait_for(
                    lambda: process.poll() is not None or self._is_well("startupProbe"), self.command[-1], START_SECONDS
                )
                assert process.poll() is None, f"{self.command} has ended"
                yield
            finally:
                process.send_signal(signal.SIGTERM)
                # 5 of the pod's 60 seconds are gone by then.
                code = process.wait(55)
        assert code in (0, -signal.SIGTERM), self.command

    def is_ready(self) -> bool:
        """Whether readiness and liveness would let calls come to it."""
        return self._is_well("readinessProbe") and self._is_well("livenessProbe")

    def _is_well(self, probe: str) -> bool:
        asked = self.container[probe]
        if "grpc" in asked:
            variable = {50051: "MONITORS_GRPC_PORT", 50061: "MONITORS_HEALTH_PORT"}[asked["grpc"]["port"]]
            return health(f"127.0.0.1:{self.environment[variable]}", asked["grpc"]["service"])
        try:
            path = asked.get("httpGet", {}).get("path", "/healthz")
            with urllib.request.urlopen(f"http://127.0.0.1:{self.environment['MONITORS_MCP_PORT']}{path}") as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def health(address: str, name: str) -> bool:
    """Whether the health at an address says that a name is served."""
    with grpc.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        except grpc.RpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


def write(evaluator: Container, key: str, line: str) -> None:
    """Writes a point as Telegraf does."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{evaluator.environment['MONITORS_HTTP_PORT']}/api/v2/write?org=any&bucket=any",
        line.encode(), {"Authorization": f"Token {key}"}, method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


class Pods:
    """The pods of a set of values on this machine."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name, self._folder = name, folder
        self.ports = {component: free_port() for component in (*SERVED, "bridge", "embedded")}
        self._authority = Authority(folder / "authority")

    def container(self, component: str, secrets: Mapping[str, str]) -> Container:
        """A component's, with its addresses on this machine and nothing else changed."""
        pod = pod_of(self._name, component)
        [container] = pod["spec"]["containers"]
        folder = self._folder / component
        given = variables(container)
        if secrets_of(pod):
            put_secrets(folder / "secrets", {name: secrets[name] for name in secrets_of(pod) if name in secrets})
        rules = f"dns:///127.0.0.1:{self.ports['rules' if self._name in MESHES else 'embedded']}"
        here = {
            "HOME": str(folder), "MONITORS_HOST": "127.0.0.1", "MONITORS_HOME": str(folder / "home"),
            "MONITORS_GRPC_PORT": str(self.ports.get(component, 0)), "MONITORS_HTTP_PORT": str(free_port()),
            "MONITORS_METRICS_ADDRESS": "127.0.0.1:0", "MONITORS_MCP_PORT": str(self.ports["bridge"]),
            "MONITORS_SECRETS_DIR": str(folder / "secrets"), "MONITORS_RULES_ADDRESS": rules, "MONITORS_SERVER": rules,
            "MONITORS_EVALUATOR_ADDRESS": f"dns:///127.0.0.1:{self.ports['evaluator']}",
            **(influx_addresses(self._folder) if "INFLUXDB_URL" in given else {}),
        }  # fmt: skip
        if "MONITORS_TLS_CERT_FILE" in given:
            here |= {"MONITORS_HEALTH_PORT": str(free_port()), **self.new_certificate(component)}
        environment = {**given, **{name: value for name, value in here.items() if name in given or name == "HOME"}}
        folder.mkdir(exist_ok=True)
        return Container("rules" if component == "migrate" else component, container, environment)

    def new_certificate(self, component: str) -> dict[str, str]:
        """Makes what cert-manager would make, or replaces it. Returns the variables that name its files."""
        wanted = of_kind(self._name, "Certificate")[f"monitors-{component}"]["spec"]
        return put_certificate(self._folder / component / "tls", self._authority, *wanted["dnsNames"])


@pytest.fixture
def secrets() -> dict[str, str]:
    """What an operator's Secret holds, for servers that are there."""
    server = shared_server()
    needed = ("MONITORS_SERVICE_TOKEN", "MONITORS_MASTER_KEYS", "MONITORS_MCP_STATE_KEY", "MONITORS_KEY_PEPPER")
    return {
        **{name: SECRETS[name] for name in needed},
        "DATABASE_URL": server.url(server.create_database()),
        "REDIS_URL": shared_redis().url,
    }


@pytest.mark.parametrize("name", ["mesh", "mesh-mtls"])
def test_the_mesh_is_migrated_started_asked_and_ended_as_its_pods_are(
    name: str, secrets: dict[str, str], tmp_path: Path
) -> None:
    pods = Pods(name, tmp_path)
    migration = pods.container("migrate", secrets).run()
    assert migration.returncode == 0, migration.stderr
    assert migration.stdout.count("can be used") == 2
    containers = {component: pods.container(component, secrets) for component in (*SERVED, "bridge")}
    with ExitStack() as stack:
        for container in containers.values():
            stack.enter_context(container.running())
        for component, container in containers.items():
            wait_for(container.is_ready, f"{component} to be ready", START_SECONDS)
        key = _a_first_key_is_made_by_the_operator_alone(containers["rules"])
        if name == "mesh-mtls":
            for component in containers:
                pods.new_certificate(component)
        write(containers["evaluator"], key, "website_check,monitor_id=shop response_time=900")
        # RuleService asks the evaluator, which has asked RuleService whose the key is.
        monitors = str(BIN / "monitors")
        previewed = containers["rules"].run(
            monitors, "rules", "preview", "--monitor", "shop", "--when", "response_time > 500", key=key
        )
        assert previewed.returncode == 0, previewed.stderr
        assert "900" in previewed.stdout
        listed = containers["notifier"].run(monitors, "channels", "list", key=key)
        assert listed.returncode == 0, listed.stderr


def _a_first_key_is_made_by_the_operator_alone(rules: Container) -> str:
    monitors = str(BIN / "monitors")
    made = rules.run(monitors, "keys", "create", "--tenant", "local", "--title", "first")
    assert made.stdout.startswith("alk_"), made.stderr
    listed = rules.run(monitors, "keys", "list", "--tenant", "local", "--json")
    assert listed.stdout.count('"title"') == 1, listed.stdout
    assert not (Path(rules.environment["MONITORS_HOME"]) / "key").exists()
    return made.stdout.strip()


def test_the_embedded_pod_starts_with_its_bridge_and_leaves_its_key_where_it_is_said_to_be(tmp_path: Path) -> None:
    pods = Pods("embedded", tmp_path)
    embedded, bridge = pods.container("embedded", {}), pods.container("bridge", {})
    with embedded.running(), bridge.running():
        wait_for(lambda: embedded.is_ready() and bridge.is_ready(), "both to be ready", START_SECONDS)
        key = Path(embedded.environment["MONITORS_HOME"]) / "key"
        assert key.read_text().startswith("alk_")
        assert health_of_every_service(embedded) == dict.fromkeys(SERVED, True)


def health_of_every_service(embedded: Container) -> dict[str, bool]:
    """What the containers of `helm test` would find."""
    found = {}
    for container in pod_of("mesh-ha", "test")["spec"]["containers"]:
        assert container["command"][:4] == ["python", "-m", "monitors.app.probe", "--address"]
        address = f"127.0.0.1:{embedded.environment['MONITORS_GRPC_PORT']}"
        command = [str(BIN / "python"), *container["command"][1:4], address, *container["command"][5:]]
        found[container["name"]] = embedded.run(*command).returncode == 0
    return found
