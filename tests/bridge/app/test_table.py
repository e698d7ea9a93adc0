"""What a user reads and does in the table, and what the host, Claude and the mesh then know."""

import pytest
from playwright.sync_api import expect

from monitors.mesh.times import now_nanos
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.app.world import Host, Hosts
from tests.rules.client import RESOLVED, SECOND, Client

pytestmark = pytest.mark.process


@pytest.fixture
def alert_id(client: Client) -> str:
    """An alert that has been firing for twelve minutes."""
    rule = client.create("avg(cpu_percent, 5m) > 90", title="CPU is busy", severity=rule_pb2.SEVERITY_HIGH)
    return client.fire(rule, now_nanos() - 725 * SECOND, value=97.123456)


def shown(host: Host) -> list[list[str]]:
    """The lines of each cell of the first row."""
    return [cell.split("\n") for cell in host.rows.first.locator("td, th").all_inner_texts()]


def fire_many(client: Client, count: int) -> None:
    rule, now = client.create(title="CPU is busy"), now_nanos()
    client.record(
        *(client.transition(rule, 1, now - number * SECOND, group={"cpu": f"{number}"}) for number in range(count))
    )


def test_an_alert_is_a_row_with_all_that_matters(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    expect(host.summary).to_have_text("Waiting for the alerts…")
    host.show(state="firing")
    expect(host.summary).to_have_text("1–1 of 1 alert shown")
    assert shown(host) == [
        ["High"],
        ["CPU is busy", "mon_host · cpu=0"],
        ["97.123", "avg(cpu_percent, 5m) >\u00a090"],
        ["Firing", "12 min ago"],
        ["Acknowledge"],
    ]
    assert not host.troubles


def test_a_resolved_alert_says_since_when_and_has_no_button(hosts: Hosts, client: Client) -> None:
    rule, now = client.create("no data on cpu_percent for 15m"), now_nanos()
    client.fire(rule, now - 7_300 * SECOND)
    client.record(client.transition(rule, RESOLVED, now - 130 * SECOND, episode=now - 7_300 * SECOND))
    host = hosts.open(client)
    host.show()
    expect(host.rows).to_have_count(1)
    assert shown(host)[2:] == [
        ["no value", "no data on cpu_percent for 15m"], ["Resolved", "2 min ago"], ["not acknowledged"],
    ]  # fmt: skip


def test_acknowledging_reaches_the_mesh_the_row_and_claude(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    host.show()
    host.button("Acknowledge CPU is busy on mon_host · cpu=0").click()
    last = host.rows.first.locator("td").last
    expect(last).to_contain_text("by key_")
    user = client.alert(alert_id).alert.acknowledgement.user
    assert shown(host)[-1][0] == f"by {user}"
    expect(last).to_be_focused()
    expect(host.view.get_by_role("status")).to_have_text(f"CPU is busy on mon_host · cpu=0 is acknowledged, by {user}")
    (context,) = host.contexts
    assert context.startswith(f"In the table of alerts the user acknowledged {alert_id}. ")
    assert context.endswith(f'1 alert shown: {alert_id} "CPU is busy on mon_host · cpu=0" acknowledged')
    assert not host.troubles


def test_who_was_first_stays_and_is_named(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    host.show()
    expect(host.rows).to_have_count(1)
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], note="on it"))
    host.button("Acknowledge").click()
    expect(host.view.get_by_role("status")).to_contain_text("was acknowledged before, by key_")
    assert shown(host)[-1][0].endswith(": on it")
    assert f"found acknowledged {alert_id}" in host.contexts[-1]


def test_a_refusal_is_shown_and_changes_nothing(hosts: Hosts, client: Client, alert_id: str) -> None:
    reader = client.call(pb.CreateKeyRequest(title="reader", scopes=["alerts:read"])).key
    host = hosts.open(client, key=reader)
    host.show()
    host.button("Acknowledge").click()
    expect(host.view.get_by_role("alert")).to_contain_text("CPU is busy on mon_host · cpu=0 is not acknowledged. ")
    expect(host.view.get_by_role("alert")).to_contain_text("alerts:write")
    expect(host.button("Acknowledge")).to_be_focused()
    assert not client.alert(alert_id).alert.HasField("acknowledgement")
    assert f"failed to acknowledge {alert_id}" in host.contexts[-1]


def test_a_host_that_refuses_is_quoted_and_the_next_try_works(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    host.show()
    host.run("void (bridge.oncalltool = async () => { throw new Error('the user said no') })")
    host.button("Acknowledge").click()
    expect(host.view.get_by_role("alert")).to_contain_text("the user said no")
    host.run("void (bridge.oncalltool = (call) => client.callTool(call))")
    host.button("Acknowledge").click()
    expect(host.rows.first).to_contain_text("by key_")
    expect(host.view.get_by_role("alert")).to_have_count(0)
    assert client.alert(alert_id).alert.HasField("acknowledgement")


def test_a_second_click_while_the_first_is_on_its_way_does_nothing(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    host.show()
    host.run("void (bridge.oncalltool = (call) => { seen.calls.push(call); return new Promise(() => {}) })")
    host.button("Acknowledge").click()
    host.button("Sending… CPU is busy").click(force=True)
    assert host.run("seen.calls.length") == 1


def test_where_a_host_lets_no_tool_be_called_nothing_asks_for_it(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client, capabilities={})
    host.show()
    expect(host.rows).to_have_count(1)
    expect(host.view.get_by_role("button")).to_have_count(0)
    assert shown(host)[-1] == ["not acknowledged"]


def test_all_pages_can_be_turned_there_and_back(hosts: Hosts, client: Client) -> None:
    fire_many(client, 30)
    host = hosts.open(client)
    host.show(limit=20)
    seen: list[str] = []
    while True:
        names = host.rows.locator("th small").all_inner_texts()
        expect(host.summary).to_have_text(f"{len(seen) + 1}–{len(seen) + len(names)} of 30 alerts shown")
        seen += names
        if host.button("Next alerts").get_attribute("aria-disabled"):
            break
        host.button("Next alerts").click()
        expect(host.summary).to_contain_text(f"{len(seen) + 1}–")
    assert seen == [f"mon_host · cpu={number}" for number in range(30)]
    assert f"The user sees {host.summary.inner_text()}: alert_" in host.contexts[-1]
    while not host.button("Previous alerts").get_attribute("aria-disabled"):
        host.button("Previous alerts").click()
    expect(host.summary).to_contain_text("1–")
    assert not host.troubles


def test_refresh_asks_the_same_again(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    host.show(severity="high", explain=True)
    expect(host.rows).to_have_count(1)
    client.fire(client.create(title="Another", severity=rule_pb2.SEVERITY_HIGH))
    client.fire(client.create(title="Harmless", severity=rule_pb2.SEVERITY_LOW))
    host.button("Refresh").click()
    expect(host.rows.locator(".title")).to_have_text(["Another", "CPU is busy"])


def test_the_second_page_that_claude_asked_for_claims_no_place_in_the_whole(hosts: Hosts, client: Client) -> None:
    fire_many(client, 5)
    host = hosts.open(client)
    first = host.run("client.callTool({ name: 'list_alerts', arguments: { limit: 2 } })")
    host.show(limit=2, cursor=first["structuredContent"]["next_cursor"])
    expect(host.summary).to_have_text("2 of 5 alerts shown")
    host.button("Refresh").click()
    expect(host.summary).to_have_text("1–2 of 5 alerts shown")


def test_no_alerts_are_said_and_an_error_is_shown_as_it_is(hosts: Hosts, client: Client) -> None:
    host = hosts.open(client)
    host.show()
    expect(host.summary).to_have_text("No alerts")
    expect(host.view.get_by_text("Nothing matches this list at the moment.")).to_be_visible()
    expect(host.view.locator("table")).to_be_hidden()
    other = hosts.open(client)
    other.show(alert_id="alert_nosuch")
    expect(other.summary).to_contain_text("alert_nosuch")


def test_the_host_can_ping_and_end_it(hosts: Hosts, client: Client, alert_id: str) -> None:
    host = hosts.open(client)
    assert host.run("bridge.getAppVersion()") == {"name": "monitors-alerts", "title": "Alerts", "version": "1"}
    assert host.run("bridge.getAppCapabilities()") == {"availableDisplayModes": ["inline", "fullscreen"]}
    assert host.run("bridge.request({ method: 'ping' })") == {}
    refused = host.run("bridge.request({ method: 'tools/list' }).catch((error) => error.message)")
    assert "tools/list isn't served here" in refused
    host.show()
    assert host.run("bridge.teardownResource({})") == {}
    sizes = host.run("seen.sizes.length")
    host.page.set_viewport_size({"width": 420, "height": 700})
    host.inside("async () => { for (let n = 0; n < 3; n++) await new Promise(requestAnimationFrame) }")
    assert host.run("seen.sizes.length") == sizes
