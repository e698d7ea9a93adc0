"""A conversation through the real stdio bridge: what a person says, the calls that it causes, and what comes back.

`python -m tests.end_to_end.conversation` plays it on the mesh that the environment names, whose machine is watched as
mon_host, and prints it as Markdown.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mcp import StdioServerParameters
from mcp.client import Client
from mcp_types import CallToolResult, ElicitRequestURLParams, ElicitResult, TextContent

from tests.processes import BIN

CHUNK = 256 * 1024 * 1024
MOST_CHUNKS = 24
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.25
WANTED = {"monitor": "mon_host", "title": "Memory is filling up", "severity": "high", "interval": "1s"}
TRIED = {**WANTED, "dry_run": True, "backtest_window": "2h"}
FIRST_CONDITION = "memory_percent above 1 for 2 seconds"


@dataclass
class Record:
    """What was said and done, as Markdown."""

    lines: list[str] = field(default_factory=list)

    def says(self, words: str) -> None:
        """Words of the person."""
        self.lines += [f"**“{words}”**", ""]

    def tells(self, words: str) -> None:
        """What happens meanwhile."""
        self.lines += [f"*{words}*", ""]

    def called(self, tool: str, arguments: Mapping[str, Any], text: str) -> None:
        """A call and the text that it was answered with."""
        given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
        answer = [f"    {line}".rstrip() for line in text.splitlines()]
        self.lines += [f"    {tool}({given})", "", *answer, ""]


@dataclass
class Talk:
    """An open session that records what it's used for."""

    client: Client
    record: Record

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Calls a tool, and gives the structured answer. Raises AssertionError if it's an error."""
        result = await self.silently(tool, **arguments)
        texts = [block.text for block in result.content if isinstance(block, TextContent)]
        self.record.called(tool, arguments, "\n".join(texts))
        return dict(result.structured_content or {})

    async def silently(self, tool: str, **arguments: Any) -> CallToolResult:
        """The same without a record."""
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, CallToolResult)
        assert not result.is_error, result.content
        return result

    async def until(self, look: Callable[[], Awaitable[Any]], act: Callable[[], None] = lambda: None) -> Any:
        """Looks until there is something true, and acts every second meanwhile."""
        deadline, acted = time.monotonic() + PATIENCE_SECONDS, 0.0
        while True:
            found = await look()
            if found:
                return found
            assert time.monotonic() < deadline, "waited in vain"
            if time.monotonic() - acted > 1:
                acted = time.monotonic()
                act()
            await asyncio.sleep(LOOK_SECONDS)


async def converse(environment: Mapping[str, str]) -> Record:
    """Plays the conversation: ask what there is, try, adjust, make, fire, explain, acknowledge, snooze, delete."""
    record = Record()

    async def agree(context: Any, params: Any) -> ElicitResult:
        assert not isinstance(params, ElicitRequestURLParams)
        record.tells(f"Claude's client asks: “{params.message}” The person agrees.")
        return ElicitResult(action="accept", content={"delete": True})

    server = StdioServerParameters(command=str(BIN / "monitors-mcp"), env=dict(environment))
    async with Client(server, elicitation_callback=agree) as client:
        talk = Talk(client, record)
        await _until_measured(talk)
        rule, threshold = await _make(talk)
        alert = await _fire(talk, rule)
        await _care(talk, rule, alert, threshold)
    return record


async def _until_measured(talk: Talk) -> None:
    async def has_history() -> bool:
        monitors = await talk.silently("list_alert_rules", include="monitors", monitor="mon_host")
        if "memory_percent" not in str(monitors.structured_content):
            return False
        tried = await talk.silently("create_alert_rule", **TRIED, condition=FIRST_CONDITION)
        return bool((tried.structured_content or {})["backtest"]["alerts"])

    await talk.until(has_history)


async def _make(talk: Talk) -> tuple[str, float]:
    talk.record.says("What can you watch for me?")
    await talk.call("list_alert_rules", include="monitors")

    talk.record.says("Tell me when this machine's memory is unusually full. Try it on the last two hours first.")
    tried = await talk.call("create_alert_rule", **TRIED, condition=FIRST_CONDITION)
    assert tried["backtest"]["alerts"] > 0
    threshold = float(tried["backtest"]["suggestions"][-1]["threshold"])

    talk.record.says("That would fire all the time. Take the threshold that would have been quiet.")
    condition = f"memory_percent > {threshold:g} for 2s"
    tried = await talk.call("create_alert_rule", **TRIED, condition=condition)
    assert tried["backtest"]["alerts"] == 0

    talk.record.says("Good, make it.")
    made = await talk.call("create_alert_rule", **WANTED, condition=condition)
    assert made["saved"]
    return made["rule"]["id"], threshold


async def _fire(talk: Talk, rule: str) -> str:
    chunks: list[bytes] = []

    def fill() -> None:
        if len(chunks) < MOST_CHUNKS:
            # Written to, since untouched pages take no memory.
            chunks.append(b"\1" * CHUNK)

    async def firing() -> list[Any]:
        result = await talk.silently("list_alerts", rule_id=rule, state="firing")
        return list((result.structured_content or {})["alerts"])

    talk.record.tells("A program takes some hundred megabytes of memory.")
    (alert,) = await talk.until(firing, fill)
    talk.record.says("Is anything wrong?")
    await talk.call("list_alerts", state="firing", rule_id=rule)
    return str(alert["id"])


async def _care(talk: Talk, rule: str, alert: str, threshold: float) -> None:
    talk.record.says("Why?")
    explained = await talk.call("list_alerts", alert_id=alert, explain=True)
    assert f"{threshold:g}" in str(explained)

    talk.record.says("That's my import, I'm on it.")
    taken = await talk.call("acknowledge_alert", alert_id=alert, note="an import, it ends by itself")
    assert taken["acknowledged"] == [alert]

    talk.record.says("Keep that rule quiet for an hour.")
    snoozed = await talk.call("update_alert_rule", rule_id=rule, snooze_until="1h")
    assert snoozed["rule"]["snoozed_until"]

    talk.record.says("On second thoughts, I don't need it any more.")
    deleted = await talk.call("delete_alert_rule", rule_id=rule)
    assert deleted["deleted"]
    assert deleted["restore"]["title"] == "Memory is filling up"


if __name__ == "__main__":
    sys.stdout.write("\n".join(asyncio.run(converse(os.environ)).lines))
