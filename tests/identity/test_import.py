"""`monitors import`: what becomes of the first product's rules, from SQLite and from MariaDB."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from monitors.cli.importing.old_alerts import alert_of, old_alert
from monitors.cli.importing.old_rules import Unusable, old_rule, rule_of
from monitors.cli.main import app
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.alert_pb2 import Alert
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
    """CREATE TABLE alerts (id VARCHAR(64) PRIMARY KEY, rule_id VARCHAR(64), user_id VARCHAR(64), status VARCHAR(20),
  severity VARCHAR(20), message TEXT, value DOUBLE, triggered_at DATETIME, resolved_at DATETIME,
  acknowledged_at DATETIME, acknowledged_by VARCHAR(64))""",
)
FIRED, ACKNOWLEDGED, RESOLVED = (datetime(2026, 1, 31, 12, minute) for minute in (0, 3, 5))  # noqa: DTZ001
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

    def add_alert(self, identifier: str, rule: str | None = "1", **changes: Any) -> None:
        row = {
            "user_id": None, "status": "resolved", "severity": None, "message": None, "value": None,
            "triggered_at": FIRED, "resolved_at": RESOLVED, "acknowledged_at": None, "acknowledged_by": None,
        } | changes  # fmt: skip
        names = ("id", "rule_id", *row)
        self.tables.run(
            f"INSERT INTO alerts ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})",
            id=identifier, rule_id=rule, **row,
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

    def told_of_alerts(self, *arguments: str, ok: bool = True) -> dict[str, dict[str, Any]]:
        alerts = self.run(*arguments, "--json", ok=ok).document["alerts"]
        return {alert["id"]: alert for alert in alerts}

    def alerts(self, tenant: str = "user_ann") -> list[Alert]:
        return list(self.clients[tenant].call(pb.ListAlertsRequest()).alerts)

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


def test_channels_that_stay_behind_are_named(product: Product) -> None:
    product.add("1", notification_channels='["ops"]')
    outcome = product.run()
    assert "1 taken over" in outcome.stdout
    assert "notification channels" in outcome.stderr


def test_a_past_alert_becomes_history_of_its_rule(product: Product) -> None:
    product.add("1", name="CPU is hot")
    product.add("2", user="42")
    product.add_alert(
        "a", severity="critical", message="CPU is 97", value=97.5, acknowledged_at=ACKNOWLEDGED, acknowledged_by="ann"
    )
    product.add_alert("b", "2")
    report = product.told_of_alerts()
    assert [(each["outcome"], each["key"]) for each in report.values()] == [
        ("taken over", "imported/a"),
        ("taken over", "imported/b"),
    ]
    (alert,), (rule,) = product.alerts(), product.rules()
    assert (alert.id, alert.rule_id, alert.monitor_id) == (report["a"]["alert_id"], rule.id, "mon_host")
    assert (alert.title, alert.severity, alert.value) == ("CPU is hot", Severity.SEVERITY_CRITICAL, 97.5)
    assert (alert.condition_text, alert.resolve_reason) == ("cpu_percent > 90", "imported")
    taken = alert.acknowledgement
    times = [each.ToDatetime(UTC) for each in (alert.fire_time, taken.time, alert.resolve_time)]
    assert times == [each.replace(tzinfo=UTC) for each in (FIRED, ACKNOWLEDGED, RESOLVED)]
    assert taken.user == "ann"
    timeline = product.clients["user_ann"].alert(alert.id).timeline
    assert [each.detail for each in timeline] == ["CPU is 97", "", "imported"]
    (other,) = product.alerts("user.42")
    assert (other.id, other.severity) == (report["b"]["alert_id"], Severity.SEVERITY_HIGH)


def test_a_second_run_takes_in_only_what_has_ended_since(product: Product) -> None:
    product.add("1")
    product.add_alert("a")
    product.add_alert("b", status="active", resolved_at=None)
    first = product.told_of_alerts()
    assert (first["b"]["outcome"], first["b"]["alert_id"]) == ("still open", "")
    assert first["b"]["reason"] == "still open there; it fires anew here if its condition holds"
    (before,) = product.alerts()
    again = product.told_of_alerts()
    assert (again["a"]["outcome"], again["a"]["alert_id"]) == ("already there", before.id)
    assert product.alerts() == [before]
    product.tables.run("UPDATE alerts SET status = 'resolved', resolved_at = :time WHERE id = 'b'", time=RESOLVED)
    assert product.told_of_alerts()["b"]["outcome"] == "taken over"
    assert {alert.id for alert in product.alerts()} > {before.id}


def test_a_dry_run_takes_in_no_alert_and_says_the_same(product: Product) -> None:
    product.add("1")
    product.report()
    product.add("2")
    product.add_alert("a")
    product.add_alert("b", "2")
    product.add_alert("c", "2", resolved_at=datetime(2020, 1, 1))  # noqa: DTZ001
    dry = product.told_of_alerts("--dry-run", ok=False)
    assert product.alerts() == []
    real = product.told_of_alerts(ok=False)
    assert {name: each["outcome"] for name, each in dry.items()} == {"a": "taken over", "b": "taken over", "c": "left"}
    assert [{**each, "alert_id": ""} for each in real.values()] == list(dry.values())


def test_an_alert_that_cannot_be_taken_over_is_told_and_holds_nothing_else_back(product: Product) -> None:
    product.add("1")
    product.add("9", condition=None)
    product.add_alert("good")
    product.add_alert("left rule", "9")
    product.add_alert("no rule", "none")
    product.add_alert("null rule", None)
    product.add_alert("somebody else's", user_id="42")
    product.add_alert("never fired", triggered_at=None)
    product.add_alert("no end", resolved_at=None)
    product.add_alert("backwards", triggered_at=RESOLVED, resolved_at=FIRED)
    product.add_alert("tomorrow", resolved_at=datetime(2200, 1, 1))  # noqa: DTZ001
    product.add_alert("severity", severity="apocalyptic")
    outcome = product.run("--json", ok=False)
    assert outcome.code == 1
    told = {each["id"]: each["reason"] for each in outcome.document["alerts"] if each["outcome"] == "left"}
    assert outcome.document["alert_counts"] == {"taken over": 1, "already there": 0, "left": 9, "still open": 0}
    for name, part in {
        "left rule": "its rule 9 was left",
        "no rule": "there is no rule 'none' in alert_rules",
        "null rule": "there is no rule '' in alert_rules",
        "somebody else's": "user_id '42' isn't that of its rule, 'user_ann'",
        "never fired": "says when it fired",
        "no end": "says since when",
        "backwards": "resolved before it fired",
        "tomorrow": "in the future",
        "severity": "'apocalyptic' is none of",
    }.items():
        assert part in told[name], told
    assert [alert.id for alert in product.alerts()] == [
        each["alert_id"] for each in outcome.document["alerts"] if each["id"] == "good"
    ]


def test_what_people_read_tells_of_each_alert(product: Product) -> None:
    product.add("1")
    product.add_alert("a", acknowledged_at=datetime(2020, 1, 1))  # noqa: DTZ001
    product.add_alert("b", status="active", resolved_at=None)
    outcome = product.run()
    assert "2 alerts: 1 taken over, 0 already there, 0 left, 1 still open." in outcome.stdout
    assert product.alerts()[0].id in outcome.stdout
    assert "its acknowledgement stays behind" in outcome.stderr


def test_more_alerts_than_go_into_a_request_are_taken_over(product: Product) -> None:
    product.add("1")
    product.tables.run(
        "INSERT INTO alerts (id, rule_id, status, message, triggered_at, resolved_at)"
        " WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 600)"
        " SELECT n, '1', 'resolved', :message, :fired, :resolved FROM numbers",
        # Of these no 500 fit into a request.
        message="ü" * 2000, fired=FIRED, resolved=RESOLVED,
    )  # fmt: skip
    report = product.told_of_alerts()
    assert len(report) == 600
    assert {each["outcome"] for each in report.values()} == {"taken over"}
    assert {each["outcome"] for each in product.told_of_alerts().values()} == {"already there"}


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
    for number, (rule, user) in enumerate([("1", None), ("2", None), ("none", None), ("none", "42")]):
        product.add_alert(str(number), rule, user_id=user)
    report = product.run("--user", "42", "--json", ok=False).document
    assert [each["id"] for each in report["rules"]] == ["2"]
    assert [(each["id"], each["outcome"]) for each in report["alerts"]] == [("1", "taken over"), ("3", "left")]
    assert (product.rules(), product.alerts()) == ([], [])


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


ALERT_COLUMNS = (
    "id", "rule_id", "user_id", "status", "is_active", "title", "severity", "message", "value", "triggered_at",
    "created_at", "resolved_at", "updated_at", "acknowledged_at", "acknowledged_by",
)  # fmt: skip
TIMES = st.datetimes() | st.datetimes().map(str) | st.integers() | st.floats()
NOW = 1_800_000_000 * 10**9


@given(
    st.fixed_dictionaries({name: TIMES if name.endswith("_at") else ANYTHING for name in ALERT_COLUMNS}),
)
def test_whatever_a_row_holds_becomes_a_past_alert_or_a_reason(row: dict[str, Any]) -> None:
    rule = old_rule({"id": "1", "user_id": row["user_id"], "monitor_id": "mon_host"})
    with suppress(Unusable):
        alert, _ = alert_of(old_alert(row), rule, "rule_1", NOW)
        assert 0 <= alert.fire_time.ToNanoseconds() <= alert.resolve_time.ToNanoseconds() <= NOW
        assert alert.key.startswith("imported/")
        assert len(alert.title) <= 200
        assert len(alert.detail) <= 2000
