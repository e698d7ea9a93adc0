"""The command against the real RuleService: the local key, conditions that it reads, filters that it understands."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from monitors.cli.failures import ExitCode
from monitors.mesh.config import RulesSettings
from monitors.mesh.server import MeshServer
from monitors.rules.main import open_rules
from monitors.v1.monitor_pb2 import FieldType, MonitorField
from monitors.v1.rule_service_pb2 import RegisterMonitorRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.cli.conftest import Command
from tests.harness import LoopThread

CREATE = ("rules", "create", "--monitor", "mon_host", "--when")


@asynccontextmanager
async def rule_service(home: Path) -> AsyncIterator[int]:
    """The real service with its key in `home`."""
    closing = asyncio.Event()
    async with open_rules(RulesSettings(f"sqlite:///{home / 'rules.db'}"), closing, None) as rules:
        await rules.ensure_local_key(home / "key")
        server = MeshServer(rules.authenticate, closing)
        server.host(rules)
        (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        yield port
        await server.stop()


@pytest.fixture(scope="module")
def local(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command on a local mesh, found as a person's would be: by its port and its home."""
    home = tmp_path_factory.mktemp("home")
    with loop_thread.opened(rule_service(home)) as port:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            field = MonitorField(measurement="cpu", field="cpu_percent", type=FieldType.FIELD_TYPE_FLOAT)
            metadata = (("authorization", f"Bearer {(home / 'key').read_text().strip()}"),)
            request = RegisterMonitorRequest(monitor_id="mon_host", fields=[field])
            RuleServiceStub(channel).RegisterMonitor(request, metadata=metadata)
        environment = {
            "MONITORS_SERVER": None, "MONITORS_KEY": None, "MONITORS_HOME": str(home), "MONITORS_GRPC_PORT": str(port)
        }  # fmt: skip
        yield Command(environment)


def test_a_condition_is_echoed_in_its_canonical_text(local: Command) -> None:
    rule = local(*CREATE, "cpu_percent is above 90 for 2 minutes", "--title", "CPU is hot", "--json").document["rule"]
    assert (rule["condition"], rule["for"], rule["no_data"]) == ("cpu_percent > 90 for 2m", "2m", "keep")
    shown = local("rules", "show", rule["id"], "--json").document["rule"]
    assert shown["condition"] == "cpu_percent > 90 for 2m"


def test_a_field_that_does_not_exist_is_refused_with_what_there_is(local: Command) -> None:
    outcome = local(*CREATE, "cpu_procent > 90", "--title", "x", ok=False)
    assert outcome.code == ExitCode.INVALID
    assert "cpu_percent" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_titles_with_quotes_and_backslashes_are_found(local: Command) -> None:
    title = r'the "big" C:\disk is full'
    made = local(*CREATE, "cpu_percent > 1", "--title", title, "--json").document["rule"]
    found = local("rules", "list", "--title", '"big" C:\\disk', "--json").document
    assert [rule["id"] for rule in found["rules"]] == [made["id"]]
    assert local("rules", "list", "--monitor", "mon_host", "--state", "firing", "--json").document["total_count"] == 0


def test_an_update_is_checked_against_the_etag(local: Command) -> None:
    made = local(*CREATE, "cpu_percent > 1", "--title", "x", "--label", "team=web", "--json").document["rule"]
    changed = local("rules", "update", made["id"], "--when", "cpu_percent > 2", "--label", "tier=1", "--json").document
    assert changed["rule"]["labels"] == {"team": "web", "tier": "1"}
    assert changed["previous"]["condition"] == "cpu_percent > 1"
    stale = local("rules", "update", made["id"], "--severity", "low", "--etag", made["etag"], ok=False)
    assert stale.code == ExitCode.CONFLICT
    assert local("rules", "update", made["id"], "--snooze", "1h", "--json").document["rule"]["snooze_until"]
    unsnoozed = local("rules", "update", made["id"], "--unsnooze", "--disable", "--json").document["rule"]
    assert (unsnoozed["snooze_until"], unsnoozed["enabled"]) == (None, False)
    local("rules", "delete", made["id"], "--yes")
    assert local("rules", "show", made["id"], ok=False).code == ExitCode.NOT_FOUND


def test_a_preview_explains_and_saves_nothing(local: Command) -> None:
    before = local("rules", "list", "--json").document["total_count"]
    preview = local(
        "rules", "preview", "--monitor", "mon_host", "--when", "avg(cpu_percent, 1m) > 90 for 30s", "--json"
    )
    assert preview.document["rule"]["condition"] == "avg(cpu_percent, 1m) > 90 for 30s"
    assert preview.document["explanation"]
    assert local("rules", "list", "--json").document["total_count"] == before
    tried = local("rules", "preview", "--monitor", "mon_host", "--when", "cpu_percent > 1", "--since", "7d")
    assert "the evaluator can't be reached" in tried.stderr


def test_a_new_key_opens_what_its_scopes_say(local: Command) -> None:
    key = local("keys", "create", "--title", "reader", "--scope", "rules:read", "--expires", "1d").stdout.strip()
    assert local("rules", "list", MONITORS_KEY=key).code == 0
    refused = local("alerts", "list", ok=False, MONITORS_KEY=key)
    assert (refused.code, "alerts:read" in refused.stderr) == (ExitCode.UNAUTHENTICATED, True)


def test_alerts_and_monitors_are_listed(local: Command) -> None:
    assert local("alerts", "list", "--since", "2h", "--state", "firing", "--json").document["alerts"] == []
    assert [monitor["id"] for monitor in local("list", "--json").document["monitors"]] == ["mon_host"]
    assert local("alerts", "ack", "alert_000000000000", ok=False).code == ExitCode.NOT_FOUND
