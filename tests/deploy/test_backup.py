"""Backup and restore as docs/operations.md tells them, of the databases of a mesh that runs and of a stopped volume."""

import re
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_served import command
from tests.processes import BIN, receiver, running_mesh, wait_for
from tests.served import served_mesh
from tests.servers.backends import keeping_points
from tests.servers.mariadb import PASSWORD, USER, migrate, program, shared_server

pytestmark = pytest.mark.process
MASTER_KEYS = "first:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
OTHER_KEYS = "other:HxsdHBoaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA="
PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def _write(url: str, key: str, value: float) -> None:
    request = urllib.request.Request(
        f"{url}/api/v2/write?org=any&bucket=any", f"website_check,monitor_id=shop response_time={value}".encode(),
        {"Authorization": f"Token {key}"}, method="POST",
    )  # fmt: skip
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 204


def _an_alert_fires(ask: Callable[..., Any], write: Callable[[float], None], hook: str) -> dict[str, Any]:
    """Makes a channel and a rule, and lets it fire and tell. Returns the alert."""
    write(1)
    ask("channels", "create", "ops", "--webhook", hook, "--default")
    ask("rules", "create", "--monitor", "shop", "--title", "Slow", "--when", "response_time > 500", "--interval", "1s")
    write(900)
    [alert] = wait_for(lambda: ask("alerts", "list", "--state", "firing")["alerts"], "the alert", 30)
    wait_for(lambda: ask("deliveries", "list", "--state", "delivered")["deliveries"], "its delivery", 30)
    return dict(alert)


def _dump_and_restore(source: str, target: str) -> None:
    """The commands of the page, with this machine's names in place of the page's."""
    server = shared_server()
    login = f"--host=127.0.0.1 --port={server.port} --user={USER} --password={PASSWORD}"
    [dump] = re.findall(r"^    mariadb-dump (.*) monitors > backup\.sql$", PAGE.read_text(), re.MULTILINE)
    options = re.sub(r"--(host|user|password)\S*\s*", "", dump)
    programs = program("mariadb-dump"), program("mariadb")
    piped = f"set -o pipefail; {programs[0]} {login} {options} {source} | {programs[1]} {login} {target}"
    subprocess.run(["bash", "-c", piped], check=True, capture_output=True, timeout=60)


def _environment(database: str, master_keys: str = MASTER_KEYS) -> dict[str, str]:
    url = shared_server().url(database)
    return {
        "DATABASE_URL": url, "MONITORS_NOTIFIER_DATABASE_URL": url, "MONITORS_MASTER_KEYS": master_keys,
        "MONITORS_ALLOW_LOCAL_TARGETS": "true", **keeping_points(),
    }  # fmt: skip


def _migrated() -> str:
    name = shared_server().create_database()
    for service in ("rules", "notifier"):
        migrate(shared_server().url(name), service)
    return name


def test_a_dump_of_databases_in_use_is_restored_with_rules_alerts_and_channels(tmp_path: Path) -> None:
    source, target = _migrated(), shared_server().create_database()
    with receiver() as hook:
        with served_mesh(tmp_path / "before", _environment(source)) as mesh:
            alert = _an_alert_fires(
                lambda *words: command(mesh, "local", *words),
                lambda value: _write(f"http://127.0.0.1:{mesh.http_port}", mesh.key(), value),
                hook.url,
            )
            _dump_and_restore(source, target)
            key = mesh.key()
        with served_mesh(tmp_path / "after", _environment(target)) as restored:
            restored.credentials["local"] = key
            [same] = command(restored, "local", "alerts", "list", "--state", "firing")["alerts"]
            assert same["id"] == alert["id"]
            tested = command(restored, "local", "channels", "test", "ops")
            assert hook.deliveries[-1].event["type"] == "notification.test", tested


def test_a_database_restored_without_its_master_keys_says_so_and_shows_no_secret(tmp_path: Path) -> None:
    source, target = _migrated(), shared_server().create_database()
    with receiver() as hook, served_mesh(tmp_path / "before", _environment(source)) as mesh:
        command(mesh, "local", "channels", "create", "ops", "--webhook", hook.url)
        _dump_and_restore(source, target)
        status = subprocess.run(
            [str(BIN / "monitors"), "secrets", "status"], capture_output=True, text=True, timeout=60, check=False,
            env={**mesh.environment, **_environment(target, OTHER_KEYS), "MONITORS_HOME": str(tmp_path / "other")},
        )  # fmt: skip
    assert status.returncode == 1, status.stdout
    assert hook.url not in status.stdout + status.stderr


def test_a_copy_of_the_stopped_volume_is_the_whole_mesh(tmp_path: Path) -> None:
    with receiver() as hook:
        with running_mesh(tmp_path / "home", "--no-host", environment=keeping_points()) as mesh:
            alert = _an_alert_fires(
                mesh.json, lambda value: _write(f"http://127.0.0.1:{mesh.http_port}", mesh.key, value), hook.url
            )
        shutil.copytree(tmp_path / "home", tmp_path / "copy")
        shutil.rmtree(tmp_path / "home")
        with running_mesh(tmp_path / "copy", "--no-host", environment=keeping_points()) as restored:
            [same] = restored.json("alerts", "list", "--state", "firing")["alerts"]
            assert same["id"] == alert["id"]
            restored.json("channels", "test", "ops")
            assert hook.deliveries[-1].event["type"] == "notification.test"
            exported = restored.command("history", "export", str(tmp_path / "shop.parquet"), "--monitor", "shop")
            assert exported.returncode == 0, exported.stderr
