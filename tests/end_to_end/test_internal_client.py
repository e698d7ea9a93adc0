"""What an internal team does: call every RPC of RuleService with `buf curl`, from the contract alone."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.end_to_end.test_first_alert import write
from tests.processes import BIN, MeshProcess, running_mesh


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home"), "--no-host") as process:
        write(process, 120.0)
        yield process


def curl(mesh: MeshProcess, method: str, request: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [
        str(BIN / "buf"), "curl", "--protocol", "grpc", "--http2-prior-knowledge",
        "-H", f"authorization: Bearer {mesh.key}",
        "-d", json.dumps(request), f"http://127.0.0.1:{mesh.grpc_port}/monitors.v1.RuleService/{method}",
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def answer(mesh: MeshProcess, method: str, request: dict[str, Any]) -> dict[str, Any]:
    done = curl(mesh, method, request)
    assert done.returncode == 0, f"{method}: {done.stderr}"
    parsed: dict[str, Any] = json.loads(done.stdout or "{}")
    return parsed


def test_a_rule_lives_by_buf_curl_alone(mesh: MeshProcess) -> None:
    rule = {"monitorId": "shop", "title": "Slow", "conditionText": "avg(response_time, 5m) > 500 for 2m"}
    created = answer(mesh, "CreateRule", {"rule": rule, "requestId": "r1"})["rule"]
    assert created["conditionText"] == "avg(response_time, 5m) > 500 for 2m"
    assert answer(mesh, "CreateRule", {"rule": rule, "requestId": "r1"})["rule"] == created
    assert answer(mesh, "GetRule", {"ruleId": created["id"]})["rule"]["title"] == "Slow"
    assert answer(mesh, "PreviewRule", {"rule": rule})["explanation"]
    (listed,) = answer(mesh, "ListRules", {"filter": "monitor_id=shop AND severity=medium"})["rules"]
    changed = answer(
        mesh,
        "UpdateRule",
        {"rule": {"id": listed["id"], "title": "Slower", "etag": listed["etag"]}, "updateMask": "title"},
    )
    assert (changed["rule"]["title"], changed["previous"]["title"]) == ("Slower", "Slow")
    stale = curl(mesh, "UpdateRule", {"rule": {"id": listed["id"], "title": "X", "etag": listed["etag"]}})
    assert stale.returncode == 8 * 10, stale.stderr
    assert answer(mesh, "DeleteRule", {"ruleId": created["id"]})["rule"]["title"] == "Slower"
    assert curl(mesh, "GetRule", {"ruleId": created["id"]}).returncode == 8 * 5


def test_every_other_call_answers_too(mesh: MeshProcess) -> None:
    batch = answer(
        mesh,
        "BatchCreateRules",
        {"rules": [{"monitorId": "shop", "title": "Up", "conditionText": "response_time > 1e9"}]},
    )
    assert len(batch["rules"]) == 1
    registered = answer(mesh, "RegisterMonitor", {"monitorId": "later"})
    assert registered["monitor"]["id"] == "later"
    monitors = answer(mesh, "ListMonitors", {})["monitors"]
    assert [monitor["id"] for monitor in monitors] == ["later", "shop"]
    assert answer(mesh, "ListChannelNames", {})["channels"][0]["name"] == "console"
    assert answer(mesh, "ListAlerts", {"filter": "state=firing"}) == {}
    key = answer(mesh, "CreateKey", {"title": "reader", "scopes": ["rules:read"]})["key"]
    assert answer(mesh, "Authenticate", {"credential": key})["principal"]["scopes"] == ["rules:read"]
    missing: dict[str, dict[str, Any]] = {
        "GetAlert": {"alertId": "alert_0"},
        "AcknowledgeAlerts": {"alertIds": ["alert_0"]},
        "ResolveAlert": {"alertId": "alert_0"},
    }
    for method, request in missing.items():
        assert curl(mesh, method, request).returncode == 8 * 5


def test_the_mesh_calls_are_closed_to_users(mesh: MeshProcess) -> None:
    for method in ("LeaseShards", "RecordTransitions", "ReportSeries", "ReportDeliveries", "MirrorChannels"):
        assert curl(mesh, method, {}).returncode == 8 * 7, method
