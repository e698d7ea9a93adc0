"""Titles and tags come from users and machines: whatever they say, the table shows it and does nothing else."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.bridge.app.world import Host, Hosts
from tests.rules.client import Client

pytestmark = pytest.mark.process

HOSTILE = [
    "<img src=x onerror=parent.postMessage('owned','*')>",
    "</script><script>document.title='owned'</script>",
    "<style>*{display:none}</style><b>bold</b>",
    "&lt;i&gt; \"quoted\" 'single' ${1+1} {{2+2}}",
    "javascript:alert(1)",
    "שלום עולם abc مرحبا",
]


# All that the table is made of. The script is the app's own.
KINDS = {
    "header", "h1", "nav", "button", "p", "table", "thead", "tbody", "tr", "th", "td", "span", "small", "strong",
    "time", "script",
}  # fmt: skip


def kinds(host: Host) -> set[str]:
    """The kinds of elements that there are."""
    return set(host.inside("root => [...root.querySelectorAll('body *')].map((node) => node.localName)"))


@pytest.mark.parametrize("text", HOSTILE)
def test_through_the_mesh_it_stays_text(hosts: Hosts, client: Client, text: str) -> None:
    rule = client.create(title=text)
    client.fire(rule, group={"tag": text})
    host = hosts.open(client)
    host.show(rule_id=rule.id)
    expect(host.rows.locator(".title")).to_have_text([text])
    expect(host.rows.locator("th small")).to_have_text([f"mon_host · tag={text}"])
    host.button("Acknowledge").click()
    expect(host.view.get_by_role("status")).to_contain_text(text)
    assert host.inside("() => document.title") == "Alerts"
    assert kinds(host) <= KINDS
    assert not host.troubles


def test_a_host_may_hand_over_anything_of_any_length(hosts: Hosts, client: Client) -> None:
    long = HOSTILE[0] + "x" * 10_000 + "\u202e" + "ش" * 500
    alert: dict[str, Any] = dict.fromkeys(("title", "monitor", "severity", "state", "fired", "condition"), long)
    host = hosts.open(client)
    host.run(
        "alerts => bridge.sendToolResult({ content: [], structuredContent: { alerts, total: alerts.length } })",
        [{**alert, "id": f"{long}{number}", "group": {long: long}, "acknowledged_by": long} for number in range(5)],
    )
    expect(host.rows.first).to_be_visible()
    assert kinds(host) <= KINDS
    assert host.inside("root => root.offsetHeight") <= 500
    assert host.inside("root => root.scrollWidth - innerWidth") == 0
    assert not host.troubles
