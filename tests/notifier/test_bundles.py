"""What people read where several alerts come in one message, and that no number of them breaks a channel's limits."""

import json
from dataclasses import replace
from datetime import UTC
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.mesh.times import SECOND
from monitors.notifier.channels.console.several import MAX_ENTRIES
from monitors.notifier.channels.console.several import render as render_lines
from monitors.notifier.channels.email.several import MAX_TEXT
from monitors.notifier.channels.email.several import render as render_mail
from monitors.notifier.channels.slack.render import render as render_one_for_slack
from monitors.notifier.channels.slack.several import render as render_slack
from monitors.notifier.channels.summary import counts, headline
from monitors.notifier.channels.text import as_text
from monitors.notifier.channels.webhook.render import MAX_BODY
from monitors.notifier.channels.webhook.render import render as render_one_for_webhook
from monitors.notifier.channels.webhook.several import render as render_webhook
from monitors.notifier.model.bundle import Bundle, bundle_id, put_together
from monitors.notifier.model.message import Kind, Message, Severity
from tests.notifier.samples import FIRING, NOW, messages

HIGH = replace(FIRING, severity=Severity.HIGH)


def several(count: int, **changes: Any) -> list[Message]:
    return [
        replace(HIGH, id=f"note_{n}_chan_1", notification_id=f"note_{n}", alert_id=f"alert_{n}", sequence=n, **changes)
        for n in range(count)
    ]


def bundle(*entries: Message) -> Bundle:
    told = put_together("set_1_chan_1", entries)
    assert isinstance(told, Bundle)
    return told


def resolved(message: Message) -> Message:
    return replace(message, kind=Kind.RESOLVED, resolve_time=NOW, resolve_reason="condition", sequence=99)


def test_an_alert_whose_firing_and_end_come_together_is_told_once_as_fired_and_recovered() -> None:
    told = put_together("set_1_chan_1", [HIGH, resolved(HIGH)])
    assert isinstance(told, Message)
    assert (told.id, told.kind, told.fired_too) == ("set_1_chan_1", Kind.RESOLVED, True)
    assert as_text(told, NOW).startswith("FIRED AND RECOVERED (high): Checkout is slow\n")
    assert "Lasted: 5 s" in as_text(told, NOW)
    assert "FIRED AND RECOVERED" in json.loads(render_one_for_slack(told, NOW))["text"]
    body = json.loads(render_one_for_webhook(told))
    assert (body["type"], body["data"]["fired_too"]) == ("alert.resolved", True)
    # An end alone says nothing of the kind.
    assert "fired_too" not in json.loads(render_one_for_webhook(resolved(HIGH)))["data"]


def test_what_got_worse_before_it_was_told_is_told_as_bad_as_it_is() -> None:
    worse = replace(HIGH, kind=Kind.SEVERITY_CHANGED, severity=Severity.CRITICAL, former_severity=Severity.HIGH)
    told = put_together("x", [HIGH, worse])
    assert isinstance(told, Message)
    assert (told.kind, told.severity, told.former_severity) == (Kind.FIRING, Severity.CRITICAL, None)
    twice = put_together("x", [replace(worse, former_severity=Severity.LOW, severity=Severity.HIGH), worse])
    assert isinstance(twice, Message)
    assert (twice.kind, twice.former_severity) == (Kind.SEVERITY_CHANGED, Severity.LOW)
    # Here the firing was told long ago, so there is nothing to tell of it.
    ended = put_together("x", [worse, resolved(HIGH)])
    assert isinstance(ended, Message)
    assert (ended.kind, ended.fired_too) == (Kind.RESOLVED, False)


def test_two_episodes_are_two_entries_and_the_worst_stand_first() -> None:
    first, second, third = several(3)
    critical = replace(third, severity=Severity.CRITICAL)
    told = bundle(first, resolved(first), second, critical)
    assert [(entry.alert_id, entry.kind, entry.fired_too) for entry in told.entries] == [
        ("alert_2", Kind.FIRING, False), ("alert_1", Kind.FIRING, False), ("alert_0", Kind.RESOLVED, True),
    ]  # fmt: skip
    assert headline(told) == "2 FIRING, 1 FIRED AND RECOVERED (critical): Checkout is slow"


def test_the_id_is_that_of_the_set() -> None:
    assert bundle_id(["dlv_1", "dlv_2"], "chan_1") == bundle_id(["dlv_2", "dlv_1"], "chan_1")
    assert bundle_id(["dlv_1", "dlv_2"], "chan_1") != bundle_id(["dlv_1", "dlv_3"], "chan_1")
    assert "." not in bundle_id(["dlv_1", "dlv_2"], "chan_1")


def test_counts_stand_for_each_rule_and_severity() -> None:
    other = replace(HIGH, alert_id="alert_x", rule_id="rule_2", title="Disk is full", severity=Severity.LOW)
    told = bundle(*several(3), other)
    assert headline(told) == "4 FIRING (high): Checkout is slow and 1 other rule"
    assert counts(told) == ["3 FIRING (high): Checkout is slow", "1 FIRING (low): Disk is full"]
    assert counts(bundle(*several(3))) == []


def test_the_terminal_gets_a_line_for_each_and_says_how_many_more_there_are() -> None:
    lines = render_lines(bundle(*several(MAX_ENTRIES + 2)), NOW, UTC)
    assert lines[0] == "14:03:17 22 FIRING (high): Checkout is slow"
    assert (
        lines[1] == '  FIRING high · Checkout is slow · mon_checkout{region="eu"} · '
        "avg(response_time, 5m) > 500 for 2m, value 731.457 · alert_0"
    )
    assert lines[-1] == "  2 more: monitors alerts list --state firing"
    assert len(lines) == MAX_ENTRIES + 2


def test_a_mail_has_the_facts_of_each_alert() -> None:
    mail = render_mail(bundle(*several(3)), "monitors@example.org", ("ann@example.org",), NOW)
    assert mail["Subject"] == "3 FIRING (high): Checkout is slow"
    assert mail["Message-ID"] == "<set_1_chan_1@example.org>"
    text, html = (part.get_content() for part in mail.iter_parts())
    for told in (text, html):
        assert all(f"monitors alerts ack alert_{n}" in told for n in range(3))
        assert "Customers wait" in told


def test_slack_shows_a_line_for_each() -> None:
    payload = json.loads(render_slack(bundle(*several(2))))
    assert payload["text"] == "🔔 2 FIRING (high): Checkout is slow"
    assert payload["blocks"][1]["text"]["text"].splitlines()[1].endswith("alert_1`")


def test_a_webhook_gets_a_digest_that_counts_and_has_the_alerts_as_they_are_alone() -> None:
    entries = several(3)
    body = json.loads(render_webhook(bundle(*entries)))
    assert body["type"] == "alert.digest"
    data = body["data"]
    assert (data["count"], data["counts"], data["severities"]) == (3, {"alert.firing": 3}, {"high": 3})
    assert data["left_out"] == 0
    alone = json.loads(render_one_for_webhook(entries[0]))
    assert data["alerts"][0] == {"type": "alert.firing", **alone["data"]}


def test_what_doesnt_fit_is_counted_in_every_channel() -> None:
    told = bundle(*several(5000, annotations={"summary": "x" * 500}))
    body = json.loads(render_webhook(told))["data"]
    assert body["left_out"] == 5000 - len(body["alerts"]) > 0
    shown = json.loads(render_slack(told))["blocks"]
    lines = sum(block["text"]["text"].count("FIRING high") for block in shown[1:])
    assert f"{5000 - lines:,} more: monitors alerts list" in shown[-1]["text"]["text"]
    mail = render_mail(told, "a@example.org", ("b@example.org",), NOW)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert "4,950 more: monitors alerts list" in text
    assert "4,950 more: monitors alerts list" in html


def test_a_digest_counts_all_and_shows_the_ten_worst() -> None:
    entries = [*several(30), replace(HIGH, alert_id="alert_c", severity=Severity.CRITICAL)]
    told = put_together("set_1_chan_1", entries, is_digest=True)
    assert isinstance(told, Bundle)
    assert headline(told) == "DIGEST: 31 FIRING (critical): Checkout is slow"
    assert counts(told) == ["1 FIRING (critical): Checkout is slow", "30 FIRING (high): Checkout is slow"]
    lines = render_lines(told, NOW, UTC)
    assert "alert_c" in lines[1]
    assert (len(lines), lines[-1]) == (12, "  21 more: monitors alerts list --state firing")
    assert len(json.loads(render_webhook(told))["data"]["alerts"]) == 10
    assert "21 more" in json.loads(render_slack(told))["blocks"][-1]["text"]["text"]


@settings(max_examples=12, deadline=None)
@given(st.lists(messages, min_size=2, max_size=4), st.integers(1, 40))
def test_no_number_or_size_of_alerts_makes_a_payload_over_its_limits(some: list[Message], times: int) -> None:
    entries = [
        replace(one, alert_id=f"alert_{number}_{index}", kind=one.kind if one.kind is not Kind.TEST else Kind.FIRING)
        for number in range(times)
        for index, one in enumerate(some)
    ]
    told = bundle(*entries)
    assert len(render_webhook(told)) <= MAX_BODY
    assert json.loads(render_webhook(told))["data"]["alerts"]
    _check_slack(json.loads(render_slack(told)))
    mail = render_mail(told, "a@example.org", ("b@example.org",), NOW)
    text, html = (part.get_content() for part in mail.iter_parts())
    assert len(text) <= 2 * MAX_TEXT
    assert len(html) <= 12 * MAX_TEXT
    assert "\n" not in mail["Subject"]
    assert len(render_lines(told, NOW + SECOND, UTC)) <= MAX_ENTRIES + 2


def _check_slack(payload: dict[str, Any]) -> None:
    blocks = payload["blocks"]
    assert len(payload["text"]) <= 3000
    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(1 <= len(block["text"]["text"]) <= 3000 for block in blocks)
    assert sum(len(block["text"]["text"]) for block in blocks) <= 13_000
