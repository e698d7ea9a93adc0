"""A database server that is lost under a whole mesh: what happens meanwhile is told once it's back, by itself."""

import time
import urllib.request
from pathlib import Path

import pytest

from tests.processes import MeshProcess, receiver, running_mesh, wait_for
from tests.servers.mariadb import PASSWORD, own_server

pytestmark = pytest.mark.process


def write(mesh: MeshProcess, value: float) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write",
        f"room,monitor_id=room c={value} {time.time_ns()}".encode(),
        {"Authorization": f"Token {mesh.key}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 204


def test_what_breaks_a_rule_while_the_database_is_away_is_told_when_it_is_back(tmp_path: Path) -> None:
    with own_server() as server, receiver() as hook:
        environment = {
            "DATABASE_URL": server.migrated_database("rules"),
            "MONITORS_NOTIFIER_DATABASE_URL": server.migrated_database("notifier"),
        }
        with running_mesh(tmp_path, "--no-host", environment=environment) as mesh:
            write(mesh, 20)
            assert mesh.command("channels", "create", "ops", "--webhook", hook.url).returncode == 0
            rule = ("--monitor", "room", "--title", "Hot", "--when", "c > 30", "--notify", "ops")
            assert mesh.command("rules", "create", *rule).returncode == 0
            assert mesh.command("status").returncode == 0

            server.kill()
            away = "the database can't be reached: see that it runs and that its address is right"
            write(mesh, 50)
            refused = mesh.command("rules", "create", *rule)
            assert refused.returncode == 6
            assert away in refused.stderr
            told = mesh.command("status")
            assert told.returncode == 6
            assert away in told.stderr
            assert not hook.deliveries

            server.start()
            (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the alert from while it was away", 60)
            assert firing.event["data"]["value"] == 50.0
            wait_for(lambda: mesh.command("status").returncode == 0, "a mesh that is well again")
            assert PASSWORD not in "".join(mesh.output)
