"""Lists: filters, pages by keyset, and tokens that belong to one query."""

import base64
import json
from typing import Any

import pytest

from monitors.mesh.patterns import matches_stars
from monitors.rules.model.filters import ALERT_FILTER, RULE_FILTER, read_filter
from monitors.rules.store import alerts
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import RESOLVED, Client


def titles(client: Client, text: str) -> set[str]:
    response = client.call(pb.ListRulesRequest(filter=text))
    assert response.total_count == len(response.rules)
    return {rule.title for rule in response.rules}


def test_rules_are_found_by_what_they_are(client: Client) -> None:
    client.report("mon_b", [("cpu", "cpu_percent", "FIELD_TYPE_FLOAT")])
    firing = client.create(title="Checkout is slow", severity="SEVERITY_HIGH", labels={"team": "a b"}, notify=["ops"])
    client.create(title="Disk 100%_full", monitor_id="mon_b", enabled=False)
    client.fire(firing)
    slow, disk = {"Checkout is slow"}, {"Disk 100%_full"}
    assert titles(client, "") == slow | disk
    assert titles(client, "severity=high") == slow
    assert titles(client, "monitor_id=mon_b") == disk
    assert titles(client, "enabled=false AND monitor_id=mon_b") == disk
    assert titles(client, "enabled=true and monitor_id=mon_b") == set()
    assert titles(client, "state=firing") == slow
    assert titles(client, "state=idle") == disk
    assert titles(client, 'title="CHECKOUT IS"') == slow
    assert titles(client, 'title="100%_f"') == disk
    assert titles(client, "title=100__f") == set()
    assert titles(client, 'label.team="a b"') == slow
    assert titles(client, "notify=ops AND label.team=x") == set()


def test_rules_of_a_monitor_are_also_those_whose_pattern_covers_it(client: Client) -> None:
    for monitor in ("mon_a1", "mon_a2"):
        client.report(monitor, [("cpu", "cpu_percent", "FIELD_TYPE_FLOAT")])
    client.create(title="all", monitor_id="mon_*")
    client.create(title="a", monitor_id="mon_a*")
    client.create(title="one", monitor_id="mon_a1")
    assert titles(client, "monitor_id=mon_a1") == {"all", "a", "one"}
    assert titles(client, "monitor_id=mon_a2 AND title=a") == {"all", "a"}
    assert titles(client, "monitor_id=mon_b") == {"all"}
    assert titles(client, "monitor_id=mon_a*") == {"a"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("severty=high", "did you mean 'severity'?"),
        ("severity=urgent", "low, medium, high, critical"),
        ("severity", "can't be read at 'severity' (character 1)"),
        ("severity=high title=x", "(character 14)"),
        ("severity=high OR title=x", "joined by AND"),
        ("label.=x", "can't filter by"),
        ("x" * 1001, "at most 1,000"),
        ("=" * 500, "can't be read"),
    ],
)
def test_a_filter_that_cannot_be_read_says_why(client: Client, text: str, told: str) -> None:
    error = client.refused(pb.ListRulesRequest(filter=text))
    assert (error.code, error.metadata["field"]) == ("INVALID_ARGUMENT", "filter")
    assert told in error.message


def test_quotes_in_a_filter_can_be_escaped() -> None:
    (term,) = read_filter(r'title="say \"hi\" \\ AND x=y"', RULE_FILTER)
    assert term.value == 'say "hi" \\ AND x=y'


def test_pages_show_each_rule_once_while_others_come_and_go(client: Client) -> None:
    made = [
        rule_pb2.Rule(monitor_id="mon_host", title=f"r{number}", condition_text="cpu_percent > 1")
        for number in range(25)
    ]
    client.call(pb.BatchCreateRulesRequest(rules=made))
    seen, token = [], ""
    while True:
        page = client.call(pb.ListRulesRequest(page_size=7, page_token=token))
        seen += [rule.title for rule in page.rules]
        client.create(title="newer")
        token = page.next_page_token
        if not token:
            break
    assert seen == [f"r{number}" for number in reversed(range(25))]


def test_a_token_belongs_to_its_query_and_its_tenant(client: Client, stub: object) -> None:
    for _ in range(3):
        client.create()
    token = client.call(pb.ListRulesRequest(page_size=1)).next_page_token
    assert token
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    for caller, request in (
        (client, pb.ListRulesRequest(page_token=token, filter="severity=low")),
        (client, pb.ListAlertsRequest(page_token=token)),
        (client, pb.ListMonitorsRequest(page_token=token)),
        (other, pb.ListRulesRequest(page_token=token)),
    ):
        assert caller.refused(request).reason == "INVALID_PAGE_TOKEN"


def test_a_damaged_token_is_refused(client: Client) -> None:
    client.create()
    client.create()
    token = client.call(pb.ListRulesRequest(page_size=1)).next_page_token
    digest, number, text = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
    forgeries: list[Any] = [
        [digest, 2**70, text],
        [digest, "x", text],
        [digest, number, "\ud800"],
        [1],
        {},
        [digest] * 9,
    ]
    forged = [base64.urlsafe_b64encode(json.dumps(value).encode()).decode() for value in forgeries]
    for bad in (token[:-3], "x", "é", "=", "A" * 5000, *forged):
        assert client.refused(pb.ListRulesRequest(page_token=bad)).reason == "INVALID_PAGE_TOKEN"


def test_page_sizes_are_bounded(client: Client) -> None:
    assert client.refused(pb.ListRulesRequest(page_size=-1)).metadata["field"] == "page_size"
    assert client.call(pb.ListRulesRequest(page_size=2**31 - 1)).total_count == 0


def test_alerts_are_found_by_what_they_are(client: Client) -> None:
    high, low = client.create(severity="SEVERITY_HIGH"), client.create(severity="SEVERITY_LOW")
    day = 86_400 * 10**9
    old = client.fire(high, 20_000 * day)
    new = client.fire(low, 20_001 * day + 1)
    client.record(client.transition(high, RESOLVED, 20_000 * day + 5, episode=20_000 * day))
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[new]))

    def ids(text: str) -> list[str]:
        return [alert.id for alert in client.call(pb.ListAlertsRequest(filter=text)).alerts]

    assert ids("") == [new, old]
    assert ids("severity=high") == [old]
    assert ids("state=firing") == [new]
    assert ids("state=resolved AND monitor_id=mon_host") == [old]
    assert ids(f"rule_id={low.id}") == [new]
    assert ids("acknowledged=true") == [new]
    assert ids("acknowledged=false") == [old]
    assert ids("since=2024-10-05T00:00:00Z") == [new]
    assert ids("since=2024-10-05T02:00:00.000000+02:00") == [new]
    assert "2026-07-30T14:30:00Z" in client.refused(pb.ListAlertsRequest(filter="since=yesterday")).message
    page = client.call(pb.ListAlertsRequest(page_size=1))
    assert (page.alerts[0].id, page.total_count) == (new, 2)
    rest = client.call(pb.ListAlertsRequest(page_size=1, page_token=page.next_page_token))
    assert ([alert.id for alert in rest.alerts], rest.next_page_token) == ([old], "")


def test_alerts_are_counted_as_far_as_anybody_waits(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "MOST_COUNTED", 2)
    rule = client.create()
    counts = []
    for number in range(3):
        client.fire(rule, group={"n": str(number)})
        page = client.call(pb.ListAlertsRequest(page_size=1))
        counts.append((page.total_count, page.total_count_is_capped))
    assert counts == [(1, False), (2, False), (2, True)]


@pytest.mark.parametrize("text", ["since=0001-01-01T00:00:00Z", "since=2024-01-01", "since=9999-01-01T00:00:00Z"])
def test_a_time_in_a_filter_has_a_zone_and_lies_within_the_calendar(text: str) -> None:
    with pytest.raises(Exception, match="send a time such as"):
        read_filter(text, ALERT_FILTER)


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("mon_check_a", "mon_check*", True),
        ("mon_check", "mon_check*", True),
        ("mon_chec", "mon_check*", False),
        ("a.b", "a?b", False),
        ("abc", "a*b*c", True),
        ("ab", "a*b*b", False),
        ("aXbYc", "*b*", True),
        ("aa", "a*a*a", False),
        ("a" * 256, "*a" * 120 + "b", False),
    ],
)
def test_a_star_stands_for_any_text(name: str, pattern: str, expected: bool) -> None:
    assert matches_stars(name, pattern) is expected
