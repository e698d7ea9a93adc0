"""What is told after a receiver has refused a message as too large: through real receivers with real limits."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook

from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.http import judge_failure
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.slack.send import judge as judge_slack
from monitors.notifier.channels.text import as_text
from monitors.notifier.channels.webhook.render import render as render_webhook
from monitors.notifier.egress import Answer
from monitors.notifier.model.bundle import FEWEST, Bundle, put_together
from monitors.notifier.model.delivery import OutcomeKind, State, decide, remembered
from monitors.notifier.model.message import Message
from monitors.notifier.model.minimal import MAX_TEXT, minimal
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import (
    DELIVERY_OUTCOME_OK,
    DELIVERY_OUTCOME_RETRYABLE,
    DELIVERY_OUTCOME_TOO_LARGE,
    Channel,
    Delivery,
    Notification,
    SlackChannel,
    WebhookChannel,
)
from tests.harness import LoopThread
from tests.notifier.samples import FIRING, NOW, messages
from tests.notifier.test_email import Mailbox, mailbox, make_channel, smtp  # noqa: F401
from tests.notifier.world import Received, Receiver, Reply, World, notification, running

LIMIT = 1_500


@contextmanager
def limited(loop_thread: LoopThread, refusal: Reply, limit: int = LIMIT) -> Iterator[Receiver]:
    """A receiver that refuses bodies of more than `limit` bytes."""

    def answer(received: Received) -> Reply:
        return refusal if len(received.body) > limit else Reply()

    with loop_thread.opened(Receiver(answer).listening()) as receiver:
        yield receiver


def large(number: int = 1) -> Notification:
    """A notification with everything that fills a message."""
    name = f"alert_{number}"
    told = notification(f"note_{number}", alert=name, stream=f"rule_1/{number}", sequence=number, title="CPU is hot")
    told.alert.annotations["summary"] = "Customers wait. " * 200
    told.alert.labels["team"] = "shop" * 100
    return told


def make(world: World, **kind: Any) -> str:
    request = pb.CreateChannelRequest(channel=Channel(name="ops", is_default=True, **kind))
    return world.stub.CreateChannel(request).webhook_secret


def make_webhook(world: World, receiver: Receiver) -> str:
    return make(world, webhook=WebhookChannel(url=f"{receiver.url}/hook"))


def log(world: World) -> dict[str, Delivery]:
    listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest(include_attempts=True)).deliveries
    return {delivery.notification_id: delivery for delivery in listed}


def outcomes(delivery: Delivery) -> list[int]:
    return [attempt.outcome for attempt in delivery.attempts]


def test_a_webhook_that_takes_no_more_gets_the_minimal_form_at_once(world: World, loop_thread: LoopThread) -> None:
    with limited(loop_thread, Reply(413)) as receiver:
        secret = make_webhook(world, receiver)
        world.tell(large())
        world.wait_for_states(("note_1", "DELIVERED"))
        whole, short = receiver.received.items
    assert len(whole.body) > LIMIT
    assert whole.headers["webhook-id"] == short.headers["webhook-id"]
    data = Webhook(secret).verify(short.body, short.headers)["data"]
    assert (data["title"], data["severity"], data["monitor_id"]) == ("CPU is hot", "high", "mon_host")
    assert (data["alert_id"], data["sequence"], data["truncated"]) == ("alert_1", 1, True)
    assert (data["labels"], data["annotations"]) == ({}, {"runbook_url": "https://example.org/runbook"})
    delivery = log(world)["note_1"]
    assert outcomes(delivery) == [DELIVERY_OUTCOME_TOO_LARGE, DELIVERY_OUTCOME_OK]
    assert "too large, so its minimal form is sent" in delivery.attempts[0].detail
    assert delivery.detail.endswith("told in its minimal form, since the whole was too large")


def test_slack_gets_the_minimal_form_after_msg_too_long(world: World, loop_thread: LoopThread) -> None:
    with limited(loop_thread, Reply(400, body=b"msg_too_long"), limit=1_000) as receiver:
        make(world, slack=SlackChannel(webhook_url=f"{receiver.url}/hook"))
        world.tell(large())
        world.wait_for_states(("note_1", "DELIVERED"))
        text = receiver.received.items[-1].body.decode()
    assert "FIRING (high): CPU is hot" in text
    assert "monitors alerts show alert_1" in text
    assert "https://example.org/runbook" in text
    assert outcomes(log(world)["note_1"]) == [DELIVERY_OUTCOME_TOO_LARGE, DELIVERY_OUTCOME_OK]


@pytest.mark.usefixtures("smtp", "mailbox")
@pytest.mark.parametrize("answer", ["552 too much", "552 5.3.4 too big", "554 5.3.4 too big", "550 5.2.3 too long"])
def test_mail_gets_the_minimal_form_after_a_server_refused_its_size(
    loop_thread: LoopThread,
    tmp_path: Path,
    smtp: Any,  # noqa: F811
    mailbox: Mailbox,  # noqa: F811
    answer: str,
) -> None:
    mailbox.data_answers = [answer]
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=smtp) as world:
        world.tell(large())
        world.wait_for_states(("note_1", "DELIVERED"))
        delivery = log(world)["note_1"]
    (_, whole), (_, short) = mailbox.mails.items
    assert whole["Message-ID"] == short["Message-ID"]
    body = short.get_body(("plain",))
    assert body is not None
    assert "monitors alerts show alert_1" in body.get_content()
    assert "Customers wait" not in short.as_string()
    assert outcomes(delivery) == [DELIVERY_OUTCOME_TOO_LARGE, DELIVERY_OUTCOME_OK]


@pytest.mark.usefixtures("smtp", "mailbox")
def test_a_mailbox_that_is_full_isnt_a_message_that_is_too_large(
    loop_thread: LoopThread,
    tmp_path: Path,
    smtp: Any,  # noqa: F811
    mailbox: Mailbox,  # noqa: F811
) -> None:
    mailbox.data_answers = ["552 5.2.2 mailbox full"]
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=smtp) as world:
        world.tell(large())
        world.wait_for_states(("note_1", "DEAD"))


def test_what_is_too_large_even_so_is_given_up_with_the_reason(world: World, loop_thread: LoopThread) -> None:
    with limited(loop_thread, Reply(413), limit=0) as receiver:
        make_webhook(world, receiver)
        world.tell(large())
        world.wait_for_states(("note_1", "DEAD"))
        assert len(receiver.received.items) == 2
    assert log(world)["note_1"].detail.endswith("its minimal form was too large, too")


def test_after_a_passing_fault_the_minimal_form_is_told_again_and_not_the_whole(
    world: World, loop_thread: LoopThread
) -> None:
    with limited(loop_thread, Reply(413)) as receiver:
        make_webhook(world, receiver)
        receiver.script = [Reply(413), Reply(500)]
        world.tell(large())
        receiver.received.wait_for_count(2)
        world.rules.reports.wait(lambda reports: any(one.delivery.attempt_count == 2 for one in reports))
        world.clock.advance(400)
        world.wait_for_states(("note_1", "DELIVERED"))
        _, second, third = receiver.received.items
    assert second.body == third.body
    expected = [DELIVERY_OUTCOME_TOO_LARGE, DELIVERY_OUTCOME_RETRYABLE, DELIVERY_OUTCOME_OK]
    assert outcomes(log(world)["note_1"]) == expected


def test_alerts_that_are_too_large_together_are_counted_and_the_worst_are_told(
    world: World, loop_thread: LoopThread
) -> None:
    with limited(loop_thread, Reply(400, body=b"msg_blocks_too_long"), limit=1_300) as receiver:
        make(world, slack=SlackChannel(webhook_url=f"{receiver.url}/hook"))
        receiver.script = [Reply()]
        world.tell(large(1))
        receiver.received.wait_for_count(1)
        others = range(2, 17)
        world.tell(*map(large, others))
        world.rules.acknowledged.wait_for_count(16)
        world.clock.advance(10)
        world.wait_for_states(*[(f"note_{number}", "DELIVERED") for number in range(1, 17)])
        _, whole, short = receiver.received.items
    assert len(whole.body) > 1_300
    told = json.loads(short.body)
    assert "15 FIRING (high): CPU is hot" in told["text"]
    assert "12 more" in short.body.decode()
    assert "minimal form" in log(world)["note_7"].detail


@settings(max_examples=25)
@given(messages)
def test_the_minimal_form_is_small_in_every_channel_whatever_the_message_holds(message: Message) -> None:
    short = minimal(message)
    assert isinstance(short, Message)
    assert len(render_webhook(short)) <= 8_000
    payload = json.loads(render_slack(short, NOW))
    assert sum(len(block["text"]["text"]) for block in payload["blocks"]) <= 3_000
    body = render_mail(short, "monitors@example.org", ("ann@example.org",), NOW).get_body(("plain",))
    assert body is not None
    assert len(body.get_content()) <= 3_000


@settings(max_examples=10)
@given(st.lists(messages, min_size=2, max_size=5))
def test_of_several_only_few_are_shown_and_all_are_counted(news: list[Message]) -> None:
    whole = put_together("set_1_chan_1", news)
    short = minimal(whole)
    if isinstance(whole, Bundle):
        assert isinstance(short, Bundle)
        assert (short.id, len(short.entries)) == (whole.id, len(whole.entries))
        assert all(entry.is_minimal for entry in short.entries)
        assert len(short.shown) <= FEWEST


@settings(max_examples=25)
@given(messages)
def test_the_minimal_form_says_the_same_of_whom_and_how_bad(message: Message) -> None:
    short = minimal(message)
    assert isinstance(short, Message)
    kept = ("id", "kind", "severity", "former_severity", "alert_id", "rule_id", "sequence", "event_time", "fired_too")
    assert [getattr(short, name) for name in kept] == [getattr(message, name) for name in kept]
    assert message.title.startswith(short.title.removesuffix("…")[: MAX_TEXT - 1])
    assert minimal(short) == short


def test_a_person_reads_the_minimal_form() -> None:
    short = minimal(FIRING)
    assert isinstance(short, Message)
    assert as_text(short, NOW) == (
        "FIRING (critical): Checkout is slow\n\n"
        'Monitor: mon_checkout{region="eu"}\n'
        "Since: 2026-11-23 14:01:17 UTC\n"
        "Runbook: https://example.org/run?a=1&b=2\n"
        "Shortened: the whole message was too large for this channel: monitors alerts show alert_7k2m9x4cqv0d\n"
        "Acknowledge: monitors alerts ack alert_7k2m9x4cqv0d"
    )


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (413, b"", OutcomeKind.TOO_LARGE),
        (400, b'{"error": "Payload Too Large"}', OutcomeKind.TOO_LARGE),
        (400, b"message size exceeds the limit", OutcomeKind.TOO_LARGE),
        (400, b"the body exceeded the maximum size", OutcomeKind.TOO_LARGE),
        (400, b'{"error": "title is missing"}', OutcomeKind.FINAL),
        # What isn't refused for good is told again as it is, whatever the words.
        (500, b"too large", OutcomeKind.RETRYABLE),
        (410, b"too large", OutcomeKind.CONFIGURATION_BROKEN),
    ],
)
def test_what_says_that_a_message_is_too_large(status: int, body: bytes, kind: OutcomeKind) -> None:
    judged = judge_failure(Answer(status, "", body), refused=frozenset({400, 413}), broken=frozenset({410}))
    assert judged.kind is kind


@pytest.mark.parametrize("body", [b"msg_too_long", b"msg_blocks_too_long", b"invalid_blocks"])
def test_slacks_own_words_for_too_large_are_known(body: bytes) -> None:
    assert judge_slack(Answer(400, "", body)).kind is OutcomeKind.TOO_LARGE
    assert judge_slack(Answer(400, "", b"invalid_payload")).kind is OutcomeKind.FINAL


@given(st.sampled_from(list(OutcomeKind)), st.booleans())
def test_whoever_was_told_too_much_once_is_told_the_minimal_form_until_it_ends(
    outcome: OutcomeKind, is_minimal: bool
) -> None:
    goes_by = remembered(outcome, is_minimal=is_minimal)
    passing = outcome in (OutcomeKind.RETRYABLE, OutcomeKind.THROTTLED, OutcomeKind.AMBIGUOUS)
    assert (goes_by is OutcomeKind.TOO_LARGE) == (outcome is OutcomeKind.TOO_LARGE or (is_minimal and passing))


@pytest.mark.parametrize("attempt", [1, 3, 100])
def test_the_minimal_form_is_tried_at_once_whatever_the_schedule_says(attempt: int) -> None:
    judged: Callable[..., Any] = lambda is_minimal: decide(  # noqa: E731
        judge_failure(Answer(413, "", b""), refused=frozenset(), broken=frozenset()),
        channel_kind="webhook", attempt=attempt, now=NOW, jitter=0, broken_before=False, is_minimal=is_minimal,
    )  # fmt: skip
    assert (judged(False).state, judged(False).next_time) == (State.PENDING, NOW)
    assert judged(True).state is State.DEAD
