"""`monitors import`: what becomes of the first product's rules, from SQLite and from MariaDB."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from monitors.cli.importing.source import Unusable, old_rule, rule_of
from monitors.cli.main import app
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule, Severity
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.cli.conftest import Outcome
from tests.harness import LoopThread
from tests.identity.user_system import UserTables
from tests.rules.client import FIELDS, Client
from tests.rules.running import SERVICE_TOKEN, running
from tests.servers.mariadb import shared_server

TABLES = (
    """CREATE TABLE alert_rules (id VARCHAR(64) PRIMARY KEY, user_id VARCHAR(64), monitor_id VARCHAR(64),
  name VARCHAR(300), `condition` TEXT, severity VARCHAR(20), cooldown_minutes INTEGER, is_active BOOLEAN,
  notification_channels TEXT)""",
    "CREATE TABLE alerts (id VARCHAR(64) PRIMARY KEY, rule_id VARCHAR(64), status VARCHAR(20), message TEXT)",
)
CONDITION = {"type": "threshold", "field": "cpu_percent", "operator": ">", "value": 90, "aggregation": "latest"}


@dataclass
class Product:
    """The first product's database, and a mesh."""

    tables: UserTables
    stub: RuleServiceStub
    clients: dict[str, Client]
    environment: dict[str, str]

    def add(self, identifier: str, user: str | None = "user_ann", **changes: Any) -> None:
        row = {
            "monitor_id": "mon_host", "name": f"Rule {identifier}", "condition": json.dumps(CONDITION),
            "severity": "high", "cooldown_minutes": 15, "is_active": True, "notification_channels": None,
        } | changes  # fmt: skip
        self.tables.run(
            "INSERT INTO alert_rules (id, user_id, monitor_id, name, `condition`, severity, cooldown_minutes,"
            " is_active, notification_channels)"
            " VALUES (:id, :user, :monitor_id, :name, :condition, :severity, :cooldown_minutes,"
            " :is_active, :notification_channels)",
            id=identifier, user=user, **row,
        )  # fmt: skip

    def run(self, *arguments: str, ok: bool = True, **environment: str) -> Outcome:
        result = CliRunner().invoke(app, ["import", *arguments], env={**self.environment, **environment})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert not ok or result.exit_code == 0, result.output
        return Outcome(result.exit_code, result.stdout, result.stderr)

    def report(self, *arguments: str, ok: bool = True) -> dict[str, dict[str, Any]]:
        rules = self.run(*arguments, "--json", ok=ok).document["rules"]
        return {rule["id"]: rule for rule in rules}

    def rules(self, tenant: str = "user_ann") -> list[Rule]:
        return list(self.clients[tenant].call(pb.ListRulesRequest()).rules)


@pytest.fixture(params=["sqlite", "mariadb"])
def product(request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path: Path) -> Iterator[Product]:
    if request.param == "mariadb":
        server = shared_server()
        url = server.url(server.create_database())
    else:
        url = f"sqlite:///{tmp_path / 'first.db'}"
    tables = UserTables(url)
    tables.run(*TABLES)
    with ExitStack() as stack:
        service = stack.enter_context(loop_thread.opened(running(tmp_path)))
        address = f"127.0.0.1:{service.port}"
        stub = RuleServiceStub(stack.enter_context(grpc.insecure_channel(address)))
        clients = {}
        for tenant in ("user_ann", "user.42"):
            key = loop_thread.run(service.rules.add_tenant(tenant))
            clients[tenant] = Client(stub, tenant, key, service.rules, loop_thread)
            clients[tenant].report("mon_host", FIELDS)
        environment = {
            "MONITORS_SERVER": address, "MONITORS_SERVICE_TOKEN": SERVICE_TOKEN, "IDENTITY_DATABASE_URL": url,
            "MONITORS_HOME": str(tmp_path / "nowhere"), "MONITORS_KEY": "",
        }  # fmt: skip
        yield Product(tables, stub, clients, environment)


def test_a_rule_becomes_one_of_its_users_tenant(product: Product) -> None:
    product.add("17", name="CPU\n is hot", cooldown_minutes=15, severity="critical")
    product.add("18", user="42", is_active=False)
    report = product.report()
    assert [each["outcome"] for each in report.values()] == ["taken over"] * 2
    (rule,) = product.rules()
    assert (rule.id, rule.key, rule.title) == (report["17"]["rule_id"], "imported/17", "CPU is hot")
    assert (rule.condition_text, rule.severity) == ("cpu_percent > 90", Severity.SEVERITY_CRITICAL)
    assert (rule.cooldown.seconds, rule.enabled) == (900, True)
    (other,) = product.rules("user.42")
    assert (other.key, other.enabled) == ("imported/18", False)


def test_a_second_run_changes_nothing_and_a_new_row_is_added(product: Product) -> None:
    product.add("1")
    first = product.report()
    (rule,) = product.rules()
    rule.title = "Renamed since"
    product.clients["user_ann"].call(pb.UpdateRuleRequest(rule=rule))
    product.add("2")
    second = product.report()
    assert {name: each["outcome"] for name, each in second.items()} == {"1": "already there", "2": "taken over"}
    assert second["1"]["rule_id"] == first["1"]["rule_id"]
    assert {each.title for each in product.rules()} == {"Renamed since", "Rule 2"}


def test_a_dry_run_makes_no_rule_and_says_the_same(product: Product) -> None:
    product.add("1")
    product.add("2", monitor_id="mon_unseen")
    dry = product.report("--dry-run", ok=False)
    assert product.rules() == []
    real = product.report(ok=False)
    assert {name: each["outcome"] for name, each in dry.items()} == {"1": "taken over", "2": "left"}
    assert [{**each, "rule_id": ""} for each in real.values()] == list(dry.values())


def test_what_cannot_be_taken_over_is_told_and_holds_nothing_else_back(product: Product) -> None:
    product.add("good")
    product.add("bad json", condition="{")
    product.add("no condition", condition=None)
    product.add("unknown field", condition=json.dumps(CONDITION | {"field": "fan_speed"}))
    product.add("unknown monitor", monitor_id="mon_unseen")
    product.add("severity", severity="apocalyptic")
    product.add("cooldown", cooldown_minutes=-1)
    product.add("nobody", user=None)
    outcome = product.run("--json", ok=False)
    assert outcome.code == 1
    told = {each["id"]: each["reason"] for each in outcome.document["rules"] if each["outcome"] == "left"}
    assert outcome.document["counts"] == {"taken over": 1, "already there": 0, "left": 7}
    for name, part in {
        "bad json": "isn't valid JSON",
        "no condition": "condition is empty",
        "unknown field": "fan_speed",
        "unknown monitor": "mon_unseen",
        "severity": "'apocalyptic' is none of",
        "cooldown": "0 to 10080",
        "nobody": "user_id is empty",
    }.items():
        assert part in told[name], told
    assert [rule.key for rule in product.rules()] == ["imported/good"]


def test_channels_and_alerts_that_stay_behind_are_named(product: Product) -> None:
    product.add("1", notification_channels='["ops"]')
    product.tables.run(
        "INSERT INTO alerts (id, rule_id, status) VALUES ('a', '1', 'active'), ('b', '1', 'resolved'), ('c', '1', 'OK')"
    )
    outcome = product.run()
    assert "1 taken over" in outcome.stdout
    assert "2 open and 1 past alerts stay where they are" in outcome.stdout
    assert "notification channels" in outcome.stderr


def test_the_key_that_it_works_with_ends_with_it(product: Product) -> None:
    product.add("1")
    product.report()
    keys = product.clients["user_ann"].call(pb.ListKeysRequest()).keys
    assert [key.HasField("revoke_time") for key in keys if key.title == "monitors import"] == [True]


def test_what_a_tier_has_no_room_for_is_left_and_the_rest_is_taken_over(product: Product) -> None:
    client = product.clients["user_ann"]
    client.loop.run(client.rules.add_tenant("user_ann", "free"))
    for number in range(22):
        product.add(f"r{number}")
    outcome = product.run("--json", ok=False)
    assert outcome.code == 1
    left = [each for each in outcome.document["rules"] if each["outcome"] == "left"]
    assert (len(left), len(product.rules())) == (2, 20)
    assert all("20" in each["reason"] for each in left), left[0]


def test_one_users_rules_can_be_taken_over_alone(product: Product) -> None:
    product.add("1")
    product.add("2", user="42")
    assert list(product.report("--user", "42")) == ["2"]
    assert product.rules() == []


def test_what_it_needs_it_asks_for(product: Product) -> None:
    for arguments, environment, told in (
        ((), {"IDENTITY_DATABASE_URL": ""}, "set IDENTITY_DATABASE_URL"),
        (("mysql://u:geheim@h/d",), {}, "names no driver"),
        (("sqlite:////nowhere/at/all.db",), {}, "can't be read"),
        ((), {"MONITORS_SERVICE_TOKEN": ""}, "MONITORS_SERVICE_TOKEN isn't set"),
        ((), {"MONITORS_SERVICE_TOKEN": "another"}, "isn't an API key"),
    ):
        product.add(told, monitor_id="mon_host")
        outcome = product.run(*arguments, ok=False, **environment)
        assert outcome.code != 0
        assert told in outcome.stderr + outcome.stdout, outcome
        assert "geheim" not in outcome.stderr
    product.tables.run("DROP TABLE alert_rules")
    assert "no table alert_rules" in product.run(ok=False).stderr


ANYTHING = st.none() | st.text(max_size=30) | st.integers() | st.floats() | st.binary(max_size=10) | st.booleans()


COLUMNS = ("id", "user_id", "monitor_id", "name", "condition", "severity", "cooldown_minutes", "is_active")


@given(st.fixed_dictionaries(dict.fromkeys(COLUMNS, ANYTHING)))
def test_whatever_a_row_holds_becomes_a_rule_or_a_reason(row: dict[str, Any]) -> None:
    old = old_rule(row)
    with suppress(Unusable):
        rule = rule_of(old)
        assert len(rule.title) <= 200
        assert rule.key.startswith("imported/")
        assert rule.ByteSize()
