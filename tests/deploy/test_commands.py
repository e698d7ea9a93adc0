"""The commands of the rendered pods, run with their variables as processes on real servers, asked as a kubelet asks."""

import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.containers import SECRETS
from tests.deploy.pods import SERVED, START_SECONDS, Container, Pods
from tests.deploy.rendered import pod_of
from tests.names import Names, serving_names
from tests.processes import BIN, wait_for
from tests.servers.mariadb import shared_server
from tests.servers.redis import shared_redis

pytestmark = pytest.mark.process


def write(evaluator: Container, key: str, line: str) -> None:
    """Writes a point as Telegraf does."""
    request = urllib.request.Request(
        f"http://{evaluator.address}:{evaluator.environment['MONITORS_HTTP_PORT']}/api/v2/write?org=any&bucket=any",
        line.encode(), {"Authorization": f"Token {key}"}, method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


@pytest.fixture
def names() -> Iterator[Names]:
    with serving_names() as names:
        yield names


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
    name: str, secrets: dict[str, str], tmp_path: Path, names: Names
) -> None:
    pods = Pods(name, tmp_path, names)
    migration = pods.container("migrate", secrets).run()
    assert migration.returncode == 0, migration.stderr
    assert migration.stdout.count("can be used") == 2
    containers = {component: pods.container(component, secrets) for component in (*SERVED, "bridge")}
    with ExitStack() as stack:
        for component, container in containers.items():
            pods.publish(component, container)
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


def test_the_embedded_pod_starts_with_its_bridge_and_leaves_its_key_where_it_is_said_to_be(
    tmp_path: Path, names: Names
) -> None:
    pods = Pods("embedded", tmp_path, names)
    embedded, bridge = pods.container("embedded", {}), pods.container("bridge", {})
    pods.publish("embedded", embedded)
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
        address = f"{embedded.address}:{embedded.environment['MONITORS_GRPC_PORT']}"
        command = [str(BIN / "python"), *container["command"][1:4], address, *container["command"][5:]]
        found[container["name"]] = embedded.run(*command).returncode == 0
    return found
