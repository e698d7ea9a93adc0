"""Dry runs on a mesh with a history: what a rule would have done, in words, in numbers and as a picture."""

import base64
import json
import math
import struct
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mcp_types import CallToolResult, ImageContent

from monitors.bridge.settings import MeshSettings
from tests.bridge.conftest import Tools
from tests.harness import LoopThread
from tests.processes import MeshProcess, running_mesh, wait_for

MINUTE = 60 * 10**9
DAY = 1_440
NOW = time.time_ns() // MINUTE * MINUTE
# Three days: a wave between 10 and 90, with a spike of 500 every 16 hours and 40 minutes.
WAVE = [500.0 if minute % 1_000 == 700 else 50 + 40 * math.sin(minute / 100) for minute in range(3 * DAY)]
SPIKES = [NOW - (len(WAVE) - minute) * MINUTE for minute in range(700, 3 * DAY, 1_000)]
WORDS = ("Inf", "NaN", "-Inf")
RULE = {"monitor": "shop", "title": "Slow", "condition": "response_time > 200"}


def write(mesh: MeshProcess, *lines: str) -> None:
    """Writes lines of the line protocol."""
    url = f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=o&bucket=b"
    headers = {"Authorization": f"Token {mesh.key}"}
    with urllib.request.urlopen(urllib.request.Request(url, "\n".join(lines).encode(), headers), timeout=30) as answer:
        assert answer.status == 204


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home"), "--no-host") as process:
        start = NOW - len(WAVE) * MINUTE
        write(
            process,
            *(f"web,monitor_id=shop response_time={v} {start + n * MINUTE}" for n, v in enumerate(WAVE)),
            *(f'odd,monitor_id=odd big=1e300,word="{w}" {NOW - n * MINUTE}' for n, w in enumerate(WORDS)),
            *(f"young,monitor_id=young x={9 - n} {NOW - n * MINUTE}" for n in range(9)),
        )  # fmt: skip
        yield process


@pytest.fixture(scope="module")
def tools(loop_thread: LoopThread, mesh: MeshProcess) -> Tools:
    return Tools(loop_thread, MeshSettings(address=f"127.0.0.1:{mesh.grpc_port}", key=mesh.key), {})


def seconds(moment: str) -> float:
    return time.mktime(time.strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def pictures(tools: Tools, name: str, **arguments: Any) -> list[ImageContent]:
    async def call(client: Any) -> Any:
        return await client.call_tool(name, arguments)

    result = tools.with_client(call)
    assert isinstance(result, CallToolResult)
    assert not result.is_error
    return [block for block in result.content if isinstance(block, ImageContent)]


def test_without_being_asked_a_dry_run_tells_of_the_last_day(tools: Tools, mesh: MeshProcess) -> None:
    # What was written when the tests were collected may be no value of now any more.
    write(mesh, f"web,monitor_id=shop response_time={WAVE[-1]} {time.time_ns()}")
    # The first one of a process loads what draws, and isn't left out however long that takes.
    tools.success("create_alert_rule", **RULE, dry_run=True, backtest_window="1h")
    answer = tools.success("create_alert_rule", **RULE, dry_run=True)
    backtest = answer.data["backtest"]
    within = [spike for spike in SPIKES if spike > NOW - DAY * MINUTE]
    assert (backtest["window"], backtest["alerts"]) == ("1d", len(within))
    assert [seconds(one["fired"]) * 10**9 for one in backtest["intervals"]] == within
    assert f"In the last 1d it would have fired {len(within)} time" in answer.text
    assert backtest["value_now"] == pytest.approx(WAVE[-1])
    assert "Fires with severity medium when, on the monitor 'shop', the latest web.response_time is" in answer.text
    assert answer.data["matches"][0]["field"] == "web.response_time"
    assert tools.success("list_alert_rules").data["total"] == 0


def test_the_curve_is_told_in_few_numbers_that_keep_its_spikes(tools: Tools) -> None:
    answer = tools.success("create_alert_rule", **RULE, dry_run=True, backtest_window="3 days")
    (curve,) = answer.data["backtest"]["curves"]
    assert answer.data["backtest"]["alerts"] == len(SPIKES)
    assert len(curve["values"]) == len(curve["sparkline"]) == 24
    assert curve["values"].count(500.0) == curve["sparkline"].count("█") == len(SPIKES)
    assert min(curve["values"]) == pytest.approx(10, abs=0.1)
    assert curve["least"] == pytest.approx(min(WAVE))
    assert curve["greatest"] == 500
    assert curve["sparkline"] in answer.text
    assert ", 500, " in answer.text
    for size in (len(answer.text.encode()), len(json.dumps(answer.data, ensure_ascii=False).encode())):
        assert size / 4 <= 700


def test_a_dry_run_has_a_picture_if_there_is_anything_to_see(tools: Tools) -> None:
    (picture,) = pictures(tools, "create_alert_rule", **RULE, dry_run=True)
    png = base64.b64decode(picture.data)
    assert (picture.mime_type, struct.unpack(">II", png[16:24])) == ("image/png", (1_200, 504))
    for condition in ("no data for 15m", 'response_time / response_time{host="no"} > 5'):
        assert not pictures(tools, "create_alert_rule", **{**RULE, "condition": condition}, dry_run=True)


def test_of_an_hour_nothing_is_said_about_a_day(tools: Tools) -> None:
    answer = tools.success("create_alert_rule", monitor="young", title="Y", condition="x > 5", dry_run=True)
    backtest = answer.data["backtest"]
    assert (backtest["alerts"], "alerts_per_day" in backtest) == (1, False)
    assert "a day)" not in answer.text
    assert any("only the last" in warning for warning in backtest["warnings"])
    assert len(backtest["curves"][0]["values"]) < 24


def test_a_rule_that_reads_nothing_is_saved_with_a_warning(tools: Tools) -> None:
    lost = {"condition": 'x{host="a"} > 5', "title": "Lost"}
    warning = "it matches no series that has reported yet; 'host' is no tag there"
    made = tools.success("create_alert_rule", monitor="young", **lost)
    assert made.data["warnings"] == [warning]
    explained = tools.success("list_alerts", rule_id=made.data["rule"]["id"], explain=True)
    assert "Nothing of this rule is evaluated: it matches no series" in explained.text
    changed = tools.success("update_alert_rule", title="Lost", condition='x{host="b"} > 5')
    assert changed.data["warnings"] == [warning]
    assert f"Warning: {warning}" in changed.text
    tools.success("delete_alert_rule", title="Lost", confirm_title="Lost")


@pytest.mark.parametrize(
    ("condition", "unit"),
    [
        ("change(x, 2m) < -5%", "percent"),
        ("change(x, 2m) outside -5%..5%", "percent"),
        ("change(x, 2m) < -5", None),
        ("rate(x, 5m) > 1", "rises per second"),
        ("anomaly(x, 1d) > 4", "robust standard deviations"),
        ("age(x) > 1d", "seconds"),
        ("x > 5", None),
    ],
)
def test_values_have_a_unit_where_they_are_not_the_fields_own(tools: Tools, condition: str, unit: str | None) -> None:
    answer = tools.success("create_alert_rule", monitor="young", title="Y", condition=condition, dry_run=True)
    assert answer.data["backtest"].get("unit") == unit
    assert (f"Values and thresholds are {unit}." in answer.text) is bool(unit)


def test_a_change_is_tried_before_it_is_made(tools: Tools) -> None:
    rule_id = tools.success("create_alert_rule", **RULE).data["rule"]["id"]
    change = {"rule_id": rule_id, "condition": "response_time > 80", "dry_run": True}
    answer = tools.success("update_alert_rule", **change, backtest_window="3d")
    assert answer.data["backtest"]["alerts"] > len(SPIKES)
    assert answer.data["changes"] == [
        {"parameter": "condition", "before": "response_time > 200", "after": "response_time > 80"}
    ]
    assert "In the last 3d it would have fired" in answer.text
    assert len(pictures(tools, "update_alert_rule", **change)) == 1
    # What tells no other story isn't tried.
    assert "backtest" not in tools.success("update_alert_rule", rule_id=rule_id, new_title="S", dry_run=True).data
    assert tools.success("list_alert_rules").data["rules"][0]["condition"] == "response_time > 200"
    text = tools.error("update_alert_rule", rule_id=rule_id, severity="low", backtest_window="3d")
    assert text.startswith("backtest_window: it needs dry_run=true")
    tools.success("delete_alert_rule", rule_id=rule_id, confirm_title="Slow")


@pytest.mark.parametrize("window", ["0s", "400d", "5 fortnights"])
def test_a_window_that_cant_be_is_an_error(tools: Tools, window: str) -> None:
    text = tools.error("create_alert_rule", **RULE, dry_run=True, backtest_window=window)
    assert text.startswith("backtest_window: ")
    assert "such as" in text


def strictly(value: Any) -> Any:
    """Goes through strict JSON, in which there is neither Infinity nor NaN."""
    return json.loads(json.dumps(value, allow_nan=False))


def test_what_isnt_finite_is_a_text(tools: Tools, mesh: MeshProcess) -> None:
    monitors = tools.success("list_alert_rules", include="monitors", monitor="odd")
    fields = {field["name"]: field for field in strictly(monitors.data)["monitors"][0]["fields"]}
    assert fields["word"] | {"type": "string", "last_value": "Inf"} == fields["word"]
    assert "word = 'Inf'" in monitors.text
    for condition in ("big * big > 5", "big * big < 5", "-1 * big * big < 5", 'word == "Inf"', "sum(big, 5m) > 1e308"):
        answer = tools.success("create_alert_rule", monitor="odd", title="O", condition=condition, dry_run=True)
        assert strictly(answer.data) == answer.data
    # And live.
    made = tools.success("create_alert_rule", monitor="odd", title="O", condition="big * big > 5", interval="1s")
    write(mesh, f"odd,monitor_id=odd big=1e300 {time.time_ns()}")

    def firing() -> Any:
        found = tools.success("list_alerts", rule_id=made.data["rule"]["id"], explain=True)
        return found if found.data["alerts"] else None

    explained = wait_for(firing, "the alert")
    assert strictly(explained.data) == explained.data
    assert explained.data["alerts"][0]["value"] == "Infinity"
    assert "value Infinity" in explained.text


def test_what_a_dry_run_tells_is_what_the_rule_did(tools: Tools, mesh: MeshProcess) -> None:
    """Live and backtest on the same points, both through the tools."""

    def put(value: float) -> None:
        write(mesh, f"live,monitor_id=live x={value} {time.time_ns()}")

    put(1)
    rule = {"monitor": "live", "condition": "x > 5", "interval": "1s", "severity": "low"}
    made = tools.success("create_alert_rule", **rule, title="Live")

    def alerts() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = tools.success("list_alerts", rule_id=made.data["rule"]["id"]).data["alerts"]
        return found

    def states(*expected: str) -> Callable[[], bool]:
        return lambda: [alert["state"] for alert in alerts()] == list(expected)

    for done in range(4):
        put(10 + done)
        wait_for(states("firing", *["resolved"] * done), "firing")
        put(1)
        wait_for(states(*["resolved"] * (done + 1)), "resolved")
    put(99)
    wait_for(states("firing", *["resolved"] * 4), "the last")
    tried = tools.success("create_alert_rule", **rule, title="Tried", dry_run=True, backtest_window="1h")
    lived = [(alert["fired"], alert.get("resolved"), alert["value"]) for alert in reversed(alerts())]
    intervals = tried.data["backtest"]["intervals"]
    assert [(one["fired"], one.get("ended"), one["value"]) for one in intervals] == lived
    assert [value for *_, value in lived] == [10, 11, 12, 13, 99]
