"""E-mail by SendGrid, as a strict double of it takes it."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings

from monitors.mesh.config import BadSetting, SendGridSettings, load_settings
from monitors.mesh.masking import Secret
from monitors.mesh.times import MINUTE
from monitors.notifier.channels.email import several
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.channels.email.render import render
from monitors.notifier.channels.email.sendgrid import judge, payload
from monitors.notifier.egress import Answer
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import OutcomeKind
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.providers.sendgrid import KEY, PATH, SENDER, SendGrid
from tests.notifier.samples import NOW, contents
from tests.notifier.test_email import make_channel
from tests.notifier.world import Received, Receiver, notification, running

ADDRESSES = ("ann@example.org", "bob@example.org", "Ann@example.org")


@pytest.fixture
def provider() -> SendGrid:
    return SendGrid(bounced=frozenset({"bob@example.org"}))


@pytest.fixture
def mailer(loop_thread: LoopThread, provider: SendGrid) -> Iterator[SendGridSettings]:
    with loop_thread.opened(Receiver(provider).listening()) as listening:
        yield SendGridSettings(Secret(KEY), f"Monitors <{SENDER}>", listening.url)


def test_an_alert_is_queued_as_text_and_html(
    loop_thread: LoopThread, tmp_path: Path, mailer: SendGridSettings, provider: SendGrid
) -> None:
    make_channel(loop_thread, tmp_path, *ADDRESSES)
    with running(loop_thread, tmp_path, smtp=mailer) as world:
        world.tell(notification("note_1"))
        (report,) = world.wait_for_states(("note_1", "ACCEPTED"))[-1:]
        assert "id-1" in report.delivery.detail
    (mail,) = provider.queued
    assert mail["from"] == {"email": SENDER, "name": "Monitors"}
    assert mail["subject"] == "FIRING (high): CPU is hot"
    text, html = (one["value"] for one in mail["content"])
    assert "monitors alerts ack alert_1" in text
    assert "<h2" in html
    assert mail["custom_args"]["message_id"].startswith("note_1_chan_")
    # Who has bounced before gets nothing, which SendGrid's answer doesn't say: so it's accepted, never delivered.
    assert provider.sent == ["Ann@example.org"]


@pytest.mark.parametrize("changes", [{"api_key": Secret("SG.wrong")}, {"sender": "eve@example.org"}])
def test_a_key_or_sender_that_sendgrid_refuses_is_the_operators_to_mend(
    loop_thread: LoopThread, tmp_path: Path, mailer: SendGridSettings, changes: dict[str, object]
) -> None:
    make_channel(loop_thread, tmp_path, *ADDRESSES)
    with running(loop_thread, tmp_path, smtp=replace(mailer, **changes)) as world:  # type: ignore[arg-type]
        attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="mail")).attempt
    assert attempt.outcome == npb.DELIVERY_OUTCOME_RETRYABLE
    assert attempt.status in (401, 403)
    assert "SENDGRID_API_KEY" in attempt.detail
    assert "SG." not in attempt.detail


def mail_of(content: Content) -> EmailMessage:
    if isinstance(content, Bundle):
        return several.render(content, SENDER, ADDRESSES, NOW)
    return render(content, SENDER, ADDRESSES, NOW)


@settings(max_examples=30)
@given(contents)
def test_sendgrid_takes_whatever_is_told(content: Content) -> None:
    provider = SendGrid()
    body = json.dumps(payload([Letter(mail_of(content), ADDRESSES)], content.id)).encode()
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    assert provider(Received(PATH, headers, body)).status == 202, provider.refusals


@pytest.mark.parametrize(
    ("status", "headers", "kind", "pause"),
    [
        (202, {"x-message-id": "a"}, OutcomeKind.ACCEPTED, 0),
        (200, {}, OutcomeKind.RETRYABLE, 0),
        (400, {}, OutcomeKind.FINAL, 0),
        (401, {}, OutcomeKind.RETRYABLE, 0),
        (403, {}, OutcomeKind.RETRYABLE, 0),
        (413, {}, OutcomeKind.TOO_LARGE, 0),
        (429, {"x-ratelimit-reset": str(int(time.time()) + 7200)}, OutcomeKind.THROTTLED, MINUTE),
        (429, {"x-ratelimit-reset": "soon"}, OutcomeKind.THROTTLED, 0),
        (500, {}, OutcomeKind.RETRYABLE, 0),
    ],
)
def test_what_sendgrids_answers_mean(status: int, headers: dict[str, str], kind: OutcomeKind, pause: int) -> None:
    outcome = judge(Answer(status, "", b"<html>", headers))
    assert outcome.kind is kind
    assert outcome.retry_after >= pause


def test_the_settings_come_from_the_environment() -> None:
    known = {"SENDGRID_API_KEY": KEY, "SENDGRID_FROM": SENDER, "SENDGRID_URL": "https://api.eu.sendgrid.com/"}
    expected = SendGridSettings(Secret(KEY), SENDER, "https://api.eu.sendgrid.com")
    assert load_settings(known).notifier.mailer == expected


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"SENDGRID_FROM": ""}, "SENDGRID_FROM"),
        ({"SENDGRID_URL": "http://api.sendgrid.com"}, "SENDGRID_URL"),
        ({"SMTP_HOST": "mail.example.org"}, "SMTP_HOST"),
    ],
)
def test_a_wrong_setting_is_refused_at_start_by_its_name(changes: dict[str, str], name: str) -> None:
    with pytest.raises(BadSetting, match=name):
        load_settings({"SENDGRID_API_KEY": KEY, "SENDGRID_FROM": SENDER, **changes})
