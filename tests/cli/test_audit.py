"""`monitors audit`: who changed what, of both services that keep an audit, newest first."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitors.cli.failures import ExitCode
from tests.cli.conftest import Command
from tests.harness import LoopThread
from tests.notifier.test_with_rule_service import both
from tests.notifier.world import Record

NAMES = (
    "id", "time", "user", "method", "kind", "resource_id", "client", "client_version", "mcp_client", "tool",
    "before", "after",
)  # fmt: skip


@pytest.fixture
def whole(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Command]:
    """The command on a mesh with rules and a notifier."""
    lines: Record[str] = Record()
    with loop_thread.opened(both(tmp_path, lines)) as opened:
        yield Command({"MONITORS_SERVER": f"127.0.0.1:{opened.port}", "MONITORS_KEY": opened.key})


def test_both_services_stand_in_one_list(whole: Command) -> None:
    made = whole("channels", "create", "ops", "--console", "--json").document["channel"]
    key = whole("keys", "create", "--title", "telegraf", "--json").document["key_id"]
    whole("channels", "delete", "ops", "--yes")
    events = whole("audit", "--json").document["events"]
    told = [(event["method"], event["resource_id"]) for event in events]
    assert told[:3] == [("DeleteChannel", made["id"]), ("CreateKey", key), ("CreateChannel", made["id"])]
    assert [event["time"] for event in events] == sorted((event["time"] for event in events), reverse=True)
    deleted, created = events[0], events[1]
    assert tuple(deleted) == NAMES
    assert (deleted["client"], bool(deleted["client_version"]), deleted["tool"]) == ("monitors-cli", True, "")
    assert (deleted["before"]["name"], deleted["after"]) == ("ops", None)
    assert (created["before"], created["after"]["title"]) == (None, "telegraf")
    lines = whole("audit", "--kind", "channel").stdout.splitlines()
    assert lines[0].split() == ["TIME", "WHO", "CALL", "ID", "THROUGH", "CHANGED"]
    assert [line.split()[3] for line in lines[1:3]] == ["DeleteChannel", "CreateChannel"]
    assert lines[1].split()[-1] == "gone"


def test_filters_are_the_meshs_own(whole: Command) -> None:
    key = whole("keys", "create", "--title", "a", "--scope", "admin", "--json").document
    whole("channels", "create", "ops", "--console", MONITORS_KEY=key["key"])
    by_key = whole("audit", "--user", key["key_id"], "--json").document["events"]
    assert [each["kind"] for each in by_key] == ["channel"]
    assert [each["kind"] for each in whole("audit", "--id", key["key_id"], "--json").document["events"]] == ["key"]
    assert whole("audit", "--until", "1h", "--json").document["events"] == []
    assert "No event matches" in whole("audit", "--until", "1h").stderr
    assert len(whole("audit", "--since", "1h", "--json").document["events"]) == 5
    assert "isn't a kind" in whole("audit", "--kind", "rules", ok=False).stderr


def test_the_pages_of_a_long_audit_hold_every_event_once(whole: Command) -> None:
    for number in range(4):
        whole("channels", "create", f"ops{number}", "--console")
        whole("keys", "create", "--title", f"key{number}")
    every = [event["id"] for event in whole("audit", "--json").document["events"]]
    assert len(every) == 11
    found: list[str] = []
    until: tuple[str, ...] = ()
    while True:
        page = whole("audit", "--limit", "3", *until, "--json").document
        found += [event["id"] for event in page["events"]]
        if not page["next_until"]:
            break
        until = ("--until", page["next_until"])
    assert found == every


def test_a_service_that_answers_elsewhere_is_named_and_the_rest_is_shown(local: Command) -> None:
    made = local("keys", "create", "--title", "x", "--json").document["key_id"]
    outcome = local("audit", "--json")
    assert outcome.document["events"][0]["resource_id"] == made
    assert "without the audit of channels and deliveries" in outcome.stderr


def test_it_is_for_administrators(local: Command) -> None:
    key = local("keys", "create", "--title", "reader").stdout.strip()
    refused = local("audit", ok=False, MONITORS_KEY=key)
    assert refused.code == ExitCode.UNAUTHENTICATED
    assert "admin" in refused.stderr
