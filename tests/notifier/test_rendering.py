"""What people read, and that no text of any length or alphabet breaks a channel's limits."""

import json
from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest
from hypothesis import given, settings

from monitors.mesh.times import HOUR, SECOND
from monitors.notifier.channels.console.render import MAX_LINE
from monitors.notifier.channels.console.render import render as render_line
from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.fitting import escape
from monitors.notifier.channels.http import judge_failure
from monitors.notifier.channels.slack.render import ESCAPES
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.slack.send import judge as judge_slack
from monitors.notifier.channels.text import as_text, clean, format_duration
from monitors.notifier.channels.webhook.render import MAX_BODY
from monitors.notifier.channels.webhook.render import render as render_webhook
from monitors.notifier.channels.webhook.send import judge as judge_webhook
from monitors.notifier.egress import Answer
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.model.message import Kind, Message, Severity
from tests.notifier.samples import AGAIN, ESCALATED, FIRING, NOW, STILL_FIRING, messages


def test_a_person_reads_what_how_bad_since_when_against_what_and_what_to_do() -> None:
    assert as_text(FIRING, NOW) == (
        "FIRING (critical): Checkout is slow\n\n"
        "What: Customers wait\n"
        'Monitor: mon_checkout{region="eu"}\n'
        "Condition: avg(response_time, 5m) > 500 for 2m, value 731.457\n"
        "Since: 2026-11-23 14:01:17 UTC\n"
        "Runbook: https://example.org/run?a=1&b=2\n"
        "Acknowledge: monitors alerts ack alert_7k2m9x4cqv0d"
    )


def test_the_terminal_gets_one_line() -> None:
    assert render_line(FIRING, NOW, UTC) == (
        '14:03:17 FIRING critical · Checkout is slow · Customers wait · mon_checkout{region="eu"} · '
        "avg(response_time, 5m) > 500 for 2m, value 731.457 · monitors alerts ack alert_7k2m9x4cqv0d"
    )


def test_that_it_got_worse_says_from_which_severity_to_which_in_every_channel() -> None:
    words = "ESCALATED high → critical"
    assert as_text(ESCALATED, NOW).startswith(f"{words}: Checkout is slow\n")
    assert as_text(ESCALATED, NOW).endswith("Acknowledge: monitors alerts ack alert_7k2m9x4cqv0d")
    assert f"{words} · Checkout is slow" in render_line(ESCALATED, NOW, UTC)
    assert render_mail(ESCALATED, "monitors@example.org", ("ann@example.org",), NOW)["Subject"] == (
        f"{words}: Checkout is slow"
    )
    assert json.loads(render_slack(ESCALATED, NOW))["text"] == f"⏫ {words}: Checkout is slow"
    body = json.loads(render_webhook(ESCALATED))
    assert (body["type"], body["data"]["state"]) == ("alert.severity_changed", "firing")
    assert (body["data"]["severity"], body["data"]["former_severity"]) == ("critical", "high")
    eased = replace(ESCALATED, severity=Severity.LOW)
    assert as_text(eased, NOW).startswith("EASED high → low: ")


def test_a_repeat_says_for_how_long_it_has_been_firing_in_every_channel() -> None:
    now = AGAIN + SECOND
    text = as_text(STILL_FIRING, now)
    assert text.startswith("STILL FIRING for 4 h 12 min (critical): Checkout is slow\n")
    assert "value 731.457 when it fired\n" in text
    assert text.endswith("Acknowledge: monitors alerts ack alert_7k2m9x4cqv0d")
    line = render_line(STILL_FIRING, now, UTC)
    assert " STILL FIRING critical · Checkout is slow · " in line
    assert " · firing for 4 h 12 min · monitors alerts ack" in line
    mail = render_mail(STILL_FIRING, "monitors@example.org", ("ann@example.org",), now)
    assert mail["Subject"] == "STILL FIRING for 4 h 12 min (critical): Checkout is slow"
    assert "STILL FIRING for 4 h 12 min" in json.loads(render_slack(STILL_FIRING, now))["text"]
    body = json.loads(render_webhook(STILL_FIRING))
    assert (body["type"], body["data"]["state"]) == ("alert.still_firing", "firing")
    told = (body["data"]["text"], body["data"]["firing_seconds"], body["data"]["repeat"], body["data"]["sequence"])
    assert told == ("still firing for 4 h 12 min", 15_125, 2, 7)


def test_a_late_message_says_so_in_words_but_not_in_the_webhooks_body_which_never_changes() -> None:
    assert "Delayed by: 1 h" in as_text(FIRING, NOW + HOUR)
    assert b"elay" not in render_webhook(FIRING)


def test_half_a_character_makes_a_webhooks_body_of_the_rest() -> None:
    assert json.loads(render_webhook(replace(FIRING, title="Disk \ud83d full")))["data"]["title"] == "Disk ? full"


@settings(max_examples=30)
@given(messages)
def test_a_webhooks_body_is_json_of_bounded_size_whatever_it_holds(message: Message) -> None:
    body = render_webhook(message)
    assert len(body) <= MAX_BODY
    parsed = json.loads(body)
    assert set(parsed) == {"type", "timestamp", "data"}
    assert body == render_webhook(message)


@settings(max_examples=30)
@given(messages)
def test_slacks_limits_hold_whatever_it_holds(message: Message) -> None:
    payload: dict[str, Any] = json.loads(render_slack(message, NOW))
    header, *sections = payload["blocks"]
    assert 0 < len(payload["text"]) <= 3000
    assert len(header["text"]["text"]) <= 150
    assert all(0 < len(section["text"]["text"]) <= 3000 for section in sections)


@settings(max_examples=30)
@given(messages)
def test_a_mail_and_a_terminal_line_can_be_made_of_anything(message: Message) -> None:
    mail = render_mail(message, "Monitors <alerts@example.org>", ("ann@example.org",), NOW)
    assert mail["Message-ID"] == "<note_1_chan_1@example.org>"
    assert "\n" not in mail["Subject"]
    assert mail.as_bytes()
    line = render_line(message, NOW, UTC)
    assert len(line) <= MAX_LINE + 100
    assert line == clean(line)


@pytest.mark.parametrize("limit", [1, 4, 5, 6, 10, 11, 12])
def test_an_escaped_text_is_never_cut_inside_of_an_entity(limit: int) -> None:
    escaped = escape("a&b<c", limit, ESCAPES)
    assert len(escaped) <= limit
    assert escaped.rstrip("…") in ("", "a", "a&amp;", "a&amp;b", "a&amp;b&lt;", "a&amp;b&lt;c")
    assert (escaped == "a&amp;b&lt;c") == (limit >= 12)


def test_slack_text_can_neither_mention_nor_format() -> None:
    hostile = Message(id="x", kind=Kind.FIRING, title="<!channel> & *bold*", monitor_id="a`b` <@U1>")
    payload = json.loads(render_slack(hostile, NOW))
    assert payload["text"] == "🔴 FIRING (medium): &lt;!channel&gt; &amp; *bold*"
    assert "`aˋbˋ &lt;@U1&gt;`" in payload["blocks"][1]["text"]["text"]


def test_html_is_escaped_and_only_web_links_are_links() -> None:
    hostile = Message(
        id="x", kind=Kind.FIRING, title="<script>", annotations={"runbook_url": "javascript:alert(1)", "summary": "<b>"}
    )
    html = render_mail(hostile, "a@b.c", ("d@e.f",), NOW).get_body(("html",))
    assert html is not None
    content = html.get_content()
    assert "<script>" not in content
    assert "javascript" not in content
    assert "&lt;script&gt;" in content


@pytest.mark.parametrize(
    ("status", "retry_after", "webhook", "slack"),
    [
        (200, "", OutcomeKind.OK, OutcomeKind.RETRYABLE),
        (204, "", OutcomeKind.OK, OutcomeKind.RETRYABLE),
        (302, "", OutcomeKind.RETRYABLE, OutcomeKind.RETRYABLE),
        (400, "", OutcomeKind.FINAL, OutcomeKind.FINAL),
        (404, "", OutcomeKind.RETRYABLE, OutcomeKind.CONFIGURATION_BROKEN),
        (408, "", OutcomeKind.RETRYABLE, OutcomeKind.RETRYABLE),
        (410, "", OutcomeKind.CONFIGURATION_BROKEN, OutcomeKind.CONFIGURATION_BROKEN),
        (429, "", OutcomeKind.THROTTLED, OutcomeKind.THROTTLED),
        (500, "", OutcomeKind.RETRYABLE, OutcomeKind.RETRYABLE),
        (503, "30", OutcomeKind.THROTTLED, OutcomeKind.THROTTLED),
    ],
)
def test_what_a_status_means(status: int, retry_after: str, webhook: OutcomeKind, slack: OutcomeKind) -> None:
    answer = Answer(status, retry_after, b"<html>welcome to the hotel's network</html>")
    assert (judge_webhook(answer).kind, judge_slack(answer).kind) == (webhook, slack)
    assert judge_slack(Answer(200, "", b"ok\n")).kind is OutcomeKind.OK


def test_an_answer_is_quoted_in_a_few_clean_words() -> None:
    outcome = judge_failure(Answer(500, "", b"\x1b[2J" + b"\xff" * 5000), refused=frozenset(), broken=frozenset())
    assert len(outcome.detail) < 250
    assert outcome.detail.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h"), (90_061, "1 d 1 h"), (-5, "0 s")]
)
def test_durations_are_told_in_their_two_greatest_units(seconds: int, text: str) -> None:
    assert format_duration(seconds * SECOND) == text


@pytest.mark.parametrize(("count", "is_cut"), [(64, False), (65, True)])
def test_a_webhook_tells_so_many_labels_in_order_and_that_there_are_more(count: int, is_cut: bool) -> None:
    labels = {f"l{number:02}": "x" for number in reversed(range(count))}
    data = json.loads(render_webhook(replace(FIRING, labels=labels)))["data"]
    assert list(data["labels"]) == sorted(labels)[:64]
    assert data.get("truncated", False) == is_cut
