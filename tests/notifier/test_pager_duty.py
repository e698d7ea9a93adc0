"""PagerDuty: an alert is one incident, from its firing to its end."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given, settings

from monitors.mesh.masking import Secret
from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.channels.pager_duty.render import render
from monitors.notifier.channels.pager_duty.send import judge
from monitors.notifier.egress import Answer
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.model.message import Message, Severity
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, Grouping, PagerDutyChannel
from tests.harness import LoopThread
from tests.notifier.providers.pager_duty import KEY, PATH, PagerDuty
from tests.notifier.samples import ACKNOWLEDGED, FIRING, NOW, RESOLVED, TEST, contents
from tests.notifier.test_channels import create, refusal
from tests.notifier.world import ACKNOWLEDGED as ACKNOWLEDGED_EVENT
from tests.notifier.world import RESOLVED as RESOLVED_EVENT
from tests.notifier.world import Received, Receiver, Reply, World, notification

JSON = {"content-type": "application/json"}


def play(provider: PagerDuty, content: Content) -> list[int]:
    """The statuses that a message's events are answered."""
    return [provider(Received(PATH, JSON, event)).status for event in render(content, Secret(KEY), NOW)]


@pytest.fixture
def provider() -> PagerDuty:
    return PagerDuty()


@pytest.fixture
def endpoint(loop_thread: LoopThread, provider: PagerDuty) -> Iterator[Receiver]:
    with loop_thread.opened(Receiver(provider).listening()) as listening:
        yield listening


def channel(endpoint: Receiver) -> dict[str, Any]:
    return {"name": "duty", "pager_duty": PagerDutyChannel(routing_key=KEY, events_url=f"{endpoint.url}{PATH}")}


def test_an_alert_opens_an_incident_that_is_acknowledged_and_ends_with_it(
    world: World, endpoint: Receiver, provider: PagerDuty
) -> None:
    create(world, is_default=True, **channel(endpoint))
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "ACCEPTED"))
    assert provider.payloads[0]["summary"] == 'CPU is hot · mon_host{cpu="0"}'
    assert provider.payloads[0]["severity"] == "error"
    world.tell(notification("note_2", ACKNOWLEDGED_EVENT, sequence=2))
    world.wait_for_states(("note_1", "ACCEPTED"), ("note_2", "ACCEPTED"))
    world.tell(notification("note_3", RESOLVED_EVENT, sequence=3))
    world.wait_for_states(("note_1", "ACCEPTED"), ("note_2", "ACCEPTED"), ("note_3", "ACCEPTED"))
    assert provider.history == [("alert_1", "triggered"), ("alert_1", "acknowledged"), ("alert_1", "resolved")]
    assert provider.refusals == []


def test_a_second_episode_is_another_incident(provider: PagerDuty) -> None:
    for content in (FIRING, ACKNOWLEDGED, RESOLVED, replace(FIRING, alert_id="alert_2")):
        assert play(provider, content) == [202]
    assert [became for _, became in provider.history] == ["triggered", "acknowledged", "resolved", "triggered"]
    assert list(provider.open) == ["alert_2"]


def test_what_fired_and_recovered_before_it_could_be_told_is_an_incident_that_is_over(provider: PagerDuty) -> None:
    assert play(provider, replace(RESOLVED, fired_too=True)) == [202, 202]
    assert [became for _, became in provider.history] == ["triggered", "resolved"]


def test_a_test_opens_an_incident_and_leaves_none(world: World, endpoint: Receiver, provider: PagerDuty) -> None:
    create(world, **channel(endpoint))
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="duty")).attempt
    assert (attempt.outcome, attempt.status) == (npb.DELIVERY_OUTCOME_ACCEPTED, 202)
    assert [became for _, became in provider.history] == ["triggered", "resolved"]
    assert provider.payloads[0]["severity"] == "info"
    assert "test" in provider.payloads[0]["custom_details"]["note"]


def test_an_incident_has_what_how_bad_since_when_and_what_to_do() -> None:
    (body,) = render(FIRING, Secret(KEY), NOW)
    event = json.loads(body)
    assert (event["dedup_key"], event["event_action"]) == ("alert_7k2m9x4cqv0d", "trigger")
    assert event["links"] == [{"href": "https://example.org/run?a=1&b=2", "text": "Runbook"}]
    assert event["payload"] == {
        "summary": 'Checkout is slow · mon_checkout{region="eu"} · Customers wait',
        "source": "mon_checkout",
        "severity": "critical",
        "timestamp": "2026-11-23T14:03:17.000000Z",
        "class": "Checkout is slow",
        "group": '{region="eu"}',
        "custom_details": {
            "what": "Customers wait",
            "monitor": 'mon_checkout{region="eu"}',
            "condition": "avg(response_time, 5m) > 500 for 2m, value 731.457",
            "since": "2026-11-23 14:01:17 UTC",
            "runbook": "https://example.org/run?a=1&b=2",
            "acknowledge": "monitors alerts ack alert_7k2m9x4cqv0d",
            "rule_id": "rule_1",
            "sequence": 7,
        },
    }


@settings(max_examples=40)
@given(contents)
def test_pagerduty_takes_whatever_is_told(content: Content) -> None:
    provider = PagerDuty()
    assert set(play(provider, content)) == {202}, provider.refusals


@pytest.mark.parametrize(("size", "kept"), [(1023, True), (1024, True), (1025, False), (100_000, False)])
def test_a_summary_is_cut_at_its_limit(provider: PagerDuty, size: int, kept: bool) -> None:
    bare = Message(id="x", kind=FIRING.kind, title="t" * size, severity=Severity.LOW)
    assert play(provider, bare) == [202]
    summary = provider.payloads[0]["summary"]
    assert len(summary) == min(size, 1024)
    assert summary.endswith("…") is not kept


@pytest.mark.parametrize(
    ("status", "retry_after", "body", "kind", "pause"),
    [
        (202, "", b"{}", OutcomeKind.ACCEPTED, 0),
        # What a network's own page answers isn't what PagerDuty does.
        (200, "", b"<html>welcome</html>", OutcomeKind.RETRYABLE, 0),
        (400, "", b'{"errors": ["\'summary\' is missing"]}', OutcomeKind.FINAL, 0),
        (400, "", b'{"errors": ["Invalid routing key"]}', OutcomeKind.CONFIGURATION_BROKEN, 0),
        (413, "", b"", OutcomeKind.TOO_LARGE, 0),
        (429, "", b"", OutcomeKind.THROTTLED, MINUTE),
        (429, "90", b"", OutcomeKind.THROTTLED, 90 * SECOND),
        (500, "", b"", OutcomeKind.RETRYABLE, 0),
        (503, "30", b"", OutcomeKind.THROTTLED, MINUTE),
    ],
)
def test_what_pagerdutys_answers_mean(
    status: int, retry_after: str, body: bytes, kind: OutcomeKind, pause: int
) -> None:
    outcome = judge(Answer(status, retry_after, body))
    assert (outcome.kind, outcome.retry_after) == (kind, pause)


def test_an_end_that_pagerduty_drops_is_no_failure(provider: PagerDuty) -> None:
    assert play(provider, RESOLVED) == [202]
    assert provider.history == [("alert_7k2m9x4cqv0d", "dropped")]


def test_a_key_that_pagerduty_does_not_know_is_not_repeated_in_words(world: World, receiver: Receiver) -> None:
    create(world, **channel(receiver))
    receiver.script = [Reply(400, body=f"Invalid routing key {KEY}".encode())]
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="duty")).attempt
    assert attempt.outcome == npb.DELIVERY_OUTCOME_CONFIGURATION_BROKEN
    assert "Invalid routing key" in attempt.detail
    assert KEY not in attempt.detail
    assert len(receiver.received.items) == 1


def test_a_key_is_shown_as_a_fingerprint_and_stays_when_only_the_url_changes(
    world: World, endpoint: Receiver, provider: PagerDuty
) -> None:
    made = create(world, name="duty", pager_duty=PagerDutyChannel(routing_key=KEY)).channel
    assert made.pager_duty.events_url == "https://events.pagerduty.com/v2/enqueue"
    assert (made.pager_duty.routing_key, len(made.pager_duty.fingerprint)) == ("", 8)
    sent = Channel(id="duty", pager_duty=PagerDutyChannel(events_url=f"{endpoint.url}{PATH}"))
    mask = FieldMask(paths=["pager_duty.events_url"])
    changed = world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=sent, update_mask=mask)).channel
    assert changed.pager_duty.fingerprint == made.pager_duty.fingerprint
    world.stub.TestChannel(pb.TestChannelRequest(channel_id="duty"))
    assert provider.refusals == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"pager_duty": PagerDutyChannel()}, ["pager_duty.routing_key", "32"]),
        ({"pager_duty": PagerDutyChannel(routing_key=f"{KEY}0")}, ["pager_duty.routing_key", "33 characters"]),
        (
            {"pager_duty": PagerDutyChannel(routing_key=KEY, events_url="https://example.org/v2/enqueue")},
            ["pager_duty.events_url", "example.org", "events.eu.pagerduty.com"],
        ),
        (
            {"pager_duty": PagerDutyChannel(routing_key=KEY, events_url="http://events.pagerduty.com/v2/enqueue")},
            ["pager_duty.events_url"],
        ),
        (
            {"pager_duty": PagerDutyChannel(routing_key=KEY), "grouping": Grouping(by=npb.GROUP_BY_RULE)},
            ["channel.grouping", "incident"],
        ),
        (
            {"pager_duty": PagerDutyChannel(routing_key=KEY), "heartbeat_interval": Duration(seconds=60)},
            ["channel.heartbeat_interval", "webhook"],
        ),
    ],
)
def test_what_pagerduty_cannot_do_is_refused_with_the_fix(
    shared_world: World, fields: dict[str, Any], words: list[str]
) -> None:
    code, message = refusal(lambda: create(shared_world, name="duty", **fields))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [word for word in words if word not in message] == []
    assert KEY not in message


def test_tests_have_no_alert_and_a_key_of_their_own(provider: PagerDuty) -> None:
    assert play(provider, TEST) == [202, 202]
    assert {key for key, _ in provider.history} == {"test_1"}
