"""`monitors alerts`: list, show, acknowledge. (Watching is tried with a real process.)"""

from monitors.mesh.errors import MissingScope
from monitors.mesh.times import to_timestamp
from monitors.v1.alert_pb2 import AlertState
from monitors.v1.monitor_pb2 import FieldType, Monitor, MonitorField
from tests.cli.conftest import Command
from tests.cli.memory_mesh import NOON, MemoryMesh, alert

FIRST = "alert_000000000001"


def test_the_list_is_the_document_that_scripts_rely_on(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.alerts = {made.id: made for made in (alert(1), alert(2))}
    document = monitors("alerts", "list", "--limit", "1", "--json").document
    assert (document["total_count"], document["next_page_token"]) == (2, "1")
    (first,) = document["alerts"]
    expected = {
        "id": FIRST,
        "rule_id": "rule_000000000001",
        "monitor": "mon_host",
        "title": "CPU is hot",
        "severity": "high",
        "state": "firing",
        "value": 97.25,
        "fire_time": "2026-03-01T12:00:00Z",
        "resolve_time": None,
        "acknowledged": False,
        "acknowledgement": None,
        "group": {"core": "0"},
    }
    assert {name: first[name] for name in expected} == expected


def test_a_value_that_is_absent_or_endless_is_null_and_zero_is_a_value(mesh: MemoryMesh, monitors: Command) -> None:
    absence, zero = alert(1), alert(2, value=0.0)
    absence.ClearField("value")
    mesh.rules.alerts = {made.id: made for made in (absence, zero)}
    endless = alert(3, value=float("inf"))
    mesh.rules.alerts[endless.id] = endless
    document = monitors("alerts", "list", "--json").document
    assert [item["value"] for item in document["alerts"]] == [None, 0.0, None]


def test_the_filter_carries_every_option(mesh: MemoryMesh, monitors: Command) -> None:
    monitors(
        "alerts", "list", "--monitor", 'mon "check"', "--rule", "rule_1", "--severity", "low", "--state", "resolved",
        "--unacknowledged", "--since", "2026-03-01T12:00:00Z",
    )  # fmt: skip
    assert mesh.rules.requests[-1].filter == (
        'monitor_id="mon \\"check\\"" AND rule_id=rule_1 AND severity=low AND state=resolved AND acknowledged=false '
        'AND since="2026-03-01T12:00:00Z"'
    )


def test_who_was_not_told_learns_why(mesh: MemoryMesh, monitors: Command) -> None:
    held = "cooldown: another message about the same went out within the rule's cooldown, "
    mesh.rules.alerts[FIRST] = alert(1, suppress_reason="cooldown")
    mesh.notifier.deliveries = []
    waits = held + "and it's told then if it still fires"
    assert waits in " ".join(monitors("alerts", "show", FIRST).stdout.split())
    asked = ("deliveries", "list", "--alert", FIRST)
    assert monitors(*asked).stderr == f"No delivery matches.\nThe alert's message isn't there: {waits}\n"
    mesh.rules.alerts[FIRST].state = AlertState.ALERT_STATE_RESOLVED
    assert "and it was over before that ended, so nobody was told" in monitors(*asked).stderr
    mesh.rules.alerts[FIRST].suppress_reason = ""
    assert monitors(*asked).stderr == "No delivery matches.\n"


def test_a_key_that_may_not_read_alerts_lists_deliveries_all_the_same(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.notifier.deliveries = []
    mesh.rules.failure = MissingScope("alerts:read")
    assert monitors("deliveries", "list", "--alert", FIRST).stderr == "No delivery matches.\n"


def test_an_empty_list_is_an_empty_document_or_a_sentence(monitors: Command) -> None:
    assert monitors("alerts", "list", "--json").document["alerts"] == []
    outcome = monitors("alerts", "list")
    assert (outcome.stdout, outcome.stderr) == ("", "No alert so far.\n")


def test_a_person_sees_id_title_value_and_age(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.alerts = {FIRST: alert(1)}
    text = monitors("alerts", "list").stdout
    assert all(part in text for part in (FIRST, "CPU is hot", "97.25", "ago", "high"))


def test_show_has_timeline_and_deliveries(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.alerts = {FIRST: alert(1, annotations={"summary": "Look at the fan"})}
    document = monitors("alerts", "show", FIRST, "--json").document
    assert document["timeline"][0]["kind"] == "firing"
    assert document["deliveries"][0]["state"] == "delivered"
    text = monitors("alerts", "show", FIRST).stdout
    assert all(part in text for part in ("Look at the fan", "https://run", "200 OK", "avg(cpu_percent, 1m) > 90"))


def test_several_alerts_are_acknowledged_at_once_and_a_repeat_says_who_was_first(
    mesh: MemoryMesh, monitors: Command
) -> None:
    mesh.rules.alerts = {made.id: made for made in (alert(1), alert(2))}
    assert "Acknowledged alert_000000000001 “CPU is hot”" in monitors("alerts", "ack", FIRST, "--note", "mine").stdout
    document = monitors("alerts", "ack", FIRST, "alert_000000000002", "--json").document
    assert document["already_acknowledged_ids"] == [FIRST]
    assert document["alerts"][0]["acknowledgement"] == {"user": "ann", "time": "2026-03-01T12:00:00Z", "note": "mine"}
    assert "acknowledged" in monitors("alerts", "list").stdout


def test_a_title_cannot_steer_the_terminal_or_be_taken_for_markup(mesh: MemoryMesh, monitors: Command) -> None:
    title = "[red]a[/red]\x1b[2Jb\u202ec\r\nd\x9be [/nope]"
    mesh.rules.alerts = {FIRST: alert(1, title=title, state=AlertState.ALERT_STATE_RESOLVED)}
    for arguments in (("alerts", "show", FIRST), ("alerts", "ack", FIRST), ("alerts", "show", FIRST, "--json")):
        text = monitors(*arguments).stdout
        assert not {"\x1b", "\u202e", "\r", "\x9b"} & set(text)
    shown = monitors("alerts", "show", FIRST).stdout
    assert "[red]a[/red]\ufffd[2Jb\ufffdc  d\ufffde [/nope]" in shown


def test_monitors_are_listed_with_fields_and_one_alone_field_by_field(mesh: MemoryMesh, monitors: Command) -> None:
    field = MonitorField(
        measurement="cpu", field="cpu_percent", type=FieldType.FIELD_TYPE_FLOAT, series_count=1, last_value=12.5,
        last_time=to_timestamp(NOON),
    )  # fmt: skip
    text = MonitorField(measurement="app", field="version", type=FieldType.FIELD_TYPE_STRING, last_text="1.2")
    mesh.rules.monitors = [Monitor(id="mon_host", fields=[field], rule_count=3), Monitor(id="mon_app", fields=[text])]
    document = monitors("list", "--json").document
    assert [monitor["id"] for monitor in document["monitors"]] == ["mon_host", "mon_app"]
    assert document["monitors"][0]["fields"][0] == {
        "measurement": "cpu",
        "field": "cpu_percent",
        "type": "float",
        "series_count": 1,
        "last_value": 12.5,
        "last_text": None,
        "last_time": "2026-03-01T12:00:00Z",
    }
    assert "cpu_percent" in monitors("list").stdout
    single = monitors("list", "app").stdout
    assert "version" in single
    assert "1.2" in single
