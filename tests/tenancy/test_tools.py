"""Every tool of the bridge, and every parameter: what is another tenant's is like what never was."""

import json
import re
from typing import Any

import pytest

from monitors.bridge.settings import MeshSettings
from monitors.bridge.tools import all_tools
from tests.bridge.conftest import Answer, Tools
from tests.harness import LoopThread
from tests.tenancy.strangers import Stranger
from tests.tenancy.world import Tenant, World

PARAMETERS = {tool.name: list(tool.parameters["properties"]) for tool in all_tools()}
# Words that the tools themselves list, times, numbers and switches: nobody's.
OF_NOBODY = {
    "for", "severity", "levels", "cooldown", "no_data", "enabled", "interval", "dry_run", "backtest_window", "state",
    "include", "detail", "limit", "since", "explain", "snooze_until",
}  # fmt: skip
# Asking changes nothing, and what differs by the moment alone doesn't always differ.
TRIES = 3
# What differs from one second to the next: times, and what was counted meanwhile. No canary is among it.
MOMENTS = re.compile(r"link=[\w.=-]+|(\b\d+(\.\d+)?(ms|s|m|h|d|T|Z|%)?\b[-:. ]?)+")


@pytest.fixture(scope="module")
def tools(loop_thread: LoopThread, world: World) -> Tools:
    return tools_of(loop_thread, world, world.a)


@pytest.fixture(scope="module")
def tools_of_b(loop_thread: LoopThread, world: World) -> Tools:
    return tools_of(loop_thread, world, world.b)


def tools_of(loop_thread: LoopThread, world: World, tenant: Tenant) -> Tools:
    return Tools(loop_thread, MeshSettings(address=f"127.0.0.1:{world.mesh.grpc_port}", key=tenant.key), {})


def own_arguments(a: Tenant) -> dict[str, dict[str, Any]]:
    """Arguments of each tool that are right for its caller and change nothing that isn't so already."""
    rule = {"monitor": a.monitor, "title": "mine", "condition": f"field_{a.canary} > 99"}
    return {
        "create_alert_rule": {**rule, "dry_run": True},
        "list_alert_rules": {"limit": 1},
        "update_alert_rule": {"rule_id": a.ids["rule0"], "severity": "low", "dry_run": True},
        "delete_alert_rule": {"rule_id": a.ids["rule0"], "confirm_title": "wrong"},
        "list_alerts": {"limit": 1},
        "acknowledge_alert": {"alert_id": a.ids["alert2"]},
    }


def values_of(b: Tenant) -> dict[str, list[Any]]:
    """What of tenant b may be given for a parameter."""
    c, ids = b.canary, b.ids
    return {
        "monitor": [b.monitor, f"{b.monitor}*"], "title": [f"title {c} 0"], "new_title": [f"title {c} 0"],
        "confirm_title": [f"title {c} 0"], "condition": [f"field_{c} > 1"], "notify": [f"ops-{c}"],
        "labels": [{f"label_{c}": f"value_{c}"}], "runbook_url": [f"https://{c}.example.org"],
        "rule_id": [ids["rule0"]], "alert_id": [ids["alert0"]], "query": [f"title {c}"],
        "label": [f"label_{c}=value_{c}"], "expected_version": [ids["rule0_etag"]], "note": [f"note {c}"],
    }  # fmt: skip


def arguments_with(arguments: dict[str, Any], parameter: str, value: Any) -> dict[str, Any]:
    # A title names a rule only where no id does.
    by_title = parameter == "title" and "rule_id" in arguments
    return {name: each for name, each in arguments.items() if not (by_title and name == "rule_id")} | {parameter: value}


def test_every_tool_has_arguments(world: World) -> None:
    assert own_arguments(world.a).keys() == PARAMETERS.keys()
    assert len(PARAMETERS) == 6


@pytest.mark.parametrize("name", PARAMETERS)
def test_what_is_another_tenants_is_like_what_never_was(
    world: World, tools: Tools, tools_of_b: Tools, name: str
) -> None:
    stranger, values = Stranger(world.b), values_of(world.b)
    arguments = own_arguments(world.a)[name]
    for parameter in PARAMETERS[name]:
        if parameter == "cursor":
            cursors_of_others_are_none(tools, tools_of_b, name, arguments)
            continue
        for value in [] if parameter in OF_NOBODY else values[parameter]:
            never = json.loads(stranger.replaced(json.dumps(value)))
            if parameter == "expected_version":
                never = "8" * len(value)
            for _ in range(TRIES):
                theirs = tools(name, **arguments_with(arguments, parameter, value))
                nobodys = tools(name, **arguments_with(arguments, parameter, never))
                told = seen(stranger, theirs, parameter, value), seen(stranger, nobodys, parameter, never)
                if told[0] == told[1]:
                    break
            assert told[0] == told[1], parameter
            if parameter in ("rule_id", "alert_id"):
                assert "there is no" in theirs.text.lower() or not theirs.is_error, theirs.text


def seen(stranger: Stranger, answer: Answer, parameter: str, value: Any) -> tuple[bool, str, str]:
    def told(text: str) -> str:
        if parameter == "expected_version":
            text = text.replace(f"'{value}'", "'?'")
        return MOMENTS.sub("?", stranger.replaced(text))

    return answer.is_error, told(answer.text), told(json.dumps(answer.data))


def cursors_of_others_are_none(tools: Tools, tools_of_b: Tools, name: str, arguments: dict[str, Any]) -> None:
    cursor = tools_of_b.success(name, **arguments).data["next_cursor"]
    assert cursor
    tools_of_b.success(name, **arguments, cursor=cursor)
    assert tools.error(name, **arguments, cursor=cursor) == tools.error(name, **arguments, cursor="AAAA")
