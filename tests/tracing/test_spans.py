"""Which spans are made of what is followed: whose children they are, what they have links to, and what they say."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import grpc
import numpy as np
import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.series import Batch
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.spans import FOLLOWED_MESSAGES, MessageSpans, evaluated, recording
from monitors.mesh.spans import MOST_LINKS, current_traceparent
from monitors.notifier.model.bundle import put_together
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.message import Kind
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.spans import attempting, taking_in
from monitors.notifier.store.claims import Claim, Part
from monitors.notifier.translate import escalation_of, message_from_payload, repeat_of
from monitors.rules.model.alert import EventKind, Instance
from monitors.rules.model.episodes import Known, Ledger
from monitors.rules.model.episodes import Transition as Recorded
from monitors.v1 import alert_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.mesh_pb2 import TransitionResult
from monitors.v1.notification_pb2 import Notification
from tests.notifier.samples import FIRING
from tests.rules.test_ledger import facts
from tests.tracing.memory import kept_spans


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    with kept_spans() as exporter:
        yield exporter


def place(trace: int) -> str:
    return f"00-{trace:032x}-{1:016x}-01"


def batch(*traceparents: str) -> Batch:
    return Batch(1, 1, np.zeros(3, np.int32), np.zeros(3, np.int64), np.zeros(3), traceparents=traceparents)


def transition(rule: str, traceparent: str = "") -> Transition:
    key = InstanceKey("acme", rule, "shop", ())
    return Transition(key, 1, TransitionKind.FIRING, 1, 1, 1.0, "", 0, traceparent=traceparent)


def only(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


def context_of(span: ReadableSpan) -> Any:
    return cast("Any", span.get_span_context())


def own_place(span: ReadableSpan) -> str:
    found = context_of(span)
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    return (span.parent.trace_id, span.parent.span_id) if span.parent else None


def links_of(span: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in span.links]


def test_a_step_is_in_the_trace_of_the_first_write_and_has_links_to_the_others(exporter: InMemorySpanExporter) -> None:
    (told,) = evaluated(batch(place(7), place(8), place(9), place(8)), 1_000, [transition("rule_1")])
    span = only(exporter)
    assert (parent_of(span), links_of(span)) == ((7, 1), [(8, 1), (9, 1)])
    assert told.traceparent == own_place(span)
    assert cast("int", span.end_time) - cast("int", span.start_time) == 1_000
    assert span.attributes == {"monitors.points": 3, "monitors.transitions": 1, "monitors.rule_ids": ("rule_1",)}


def test_however_many_writes_lead_to_a_step_it_names_a_few(exporter: InMemorySpanExporter) -> None:
    evaluated(batch(*map(place, range(1, 1_000))), 1, [transition(f"rule_{number}") for number in range(1_000)])
    span = only(exporter)
    assert len(span.links) == MOST_LINKS
    assert len(cast("Any", span.attributes)["monitors.rule_ids"]) == 16


def test_neither_a_write_that_isnt_followed_nor_time_that_brings_nothing_makes_a_span(
    exporter: InMemorySpanExporter,
) -> None:
    news = [transition("rule_1")]
    assert evaluated(batch(), 1, news) is news
    assert evaluated(None, 1, []) == []
    assert exporter.get_finished_spans() == ()


def test_what_time_alone_brings_begins_a_trace(exporter: InMemorySpanExporter) -> None:
    (told,) = evaluated(None, 1, [transition("rule_1")])
    assert parent_of(only(exporter)) is None
    assert told.traceparent == own_place(only(exporter))


def test_transitions_of_many_traces_are_recorded_by_one_call_with_links(exporter: InMemorySpanExporter) -> None:
    news = [transition("rule_1", place(7)), transition("rule_2"), transition("rule_3", place(8))]
    with recording(news) as note:
        inside = current_traceparent()
        note(pb.RecordTransitionsResponse(results=[TransitionResult(alert_id="alert_1"), TransitionResult()]))
    span = only(exporter)
    assert (parent_of(span), links_of(span), inside) == ((7, 1), [(8, 1)], own_place(span))
    assert cast("Any", span.attributes)["monitors.alert_ids"] == ("alert_1",)


def test_a_call_that_fails_says_by_which_code_and_nothing_of_its_words(exporter: InMemorySpanExporter) -> None:
    nothing = grpc.aio.Metadata()
    refused = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, nothing, nothing, details="password hunter2")
    with pytest.raises(grpc.aio.AioRpcError), recording([transition("rule_1", place(7))]):
        raise refused
    span = only(exporter)
    assert cast("Any", span.attributes)["rpc.response.status_code"] == "UNAVAILABLE"
    assert span.status.status_code is StatusCode.ERROR
    assert "hunter2" not in span.to_json()


def test_a_stream_that_goes_on_for_days_makes_no_trace_that_does(exporter: InMemorySpanExporter) -> None:
    context = SimpleNamespace(invocation_metadata=lambda: (("traceparent", place(7)),))
    stream = MessageSpans("monitors.v1.EvaluatorService/WriteSamples", cast("Any", context))
    for _ in range(FOLLOWED_MESSAGES + 2):
        with stream.message("acme", 5):
            pass
    spans = exporter.get_finished_spans()
    assert {parent_of(span) for span in spans[:FOLLOWED_MESSAGES]} == {(7, 1)}
    assert [(parent_of(span), links_of(span)) for span in spans[FOLLOWED_MESSAGES:]] == [(None, [(7, 1)])] * 2


def test_each_notification_is_of_the_trace_of_what_caused_it() -> None:
    instance = Instance.of("t", "rule_1", "m", {})
    ledger = Ledger(Known(rules={("t", "rule_1"): facts(0)}), 1_000, place(3))
    opened = ledger.apply(Recorded(instance, 1, EventKind.FIRING, 1, traceparent=place(1)))
    ledger.apply(Recorded(instance, 1, EventKind.RESOLVED, 2, traceparent=place(2)))
    assert [each.traceparent for each in ledger.notifications] == [place(1), place(2)]
    person = Ledger(Known(), 1_000, place(3))
    person.acknowledge(ledger.opened[opened.alert_id]._replace(resolve_time=None), "ann", "")
    assert [each.traceparent for each in person.notifications] == [place(3)]


def notification(number: int, traceparent: str) -> Notification:
    kind = alert_pb2.ALERT_EVENT_KIND_FIRING
    message = Notification(id=f"note_{number}", tenant_id="acme", kind=kind, traceparent=traceparent)
    message.alert.id, message.alert.rule_id, message.alert.title = f"alert_{number}", "rule_1", "canary title"
    return message


def test_a_notification_is_stored_with_the_place_of_its_taking_over(exporter: InMemorySpanExporter) -> None:
    followed, other = notification(1, place(7)), notification(2, "")
    with taking_in([followed, other]):
        assert exporter.get_finished_spans() == ()
    span = only(exporter)
    assert parent_of(span) == (7, 1)
    assert (followed.traceparent, other.traceparent) == (own_place(span), "")
    assert cast("Any", span.attributes)["monitors.alert_ids"] == ("alert_1",)


def claim() -> Claim:
    channel = Channel("acme", "chan_1", "ops", ConsoleTarget())
    part = Part("del_1", b"", 2, "alert_1", Kind.FIRING, "stream")
    return Claim("acme", channel, Kind.FIRING, (part,), "", broken_before=False, lease_token="", lease_until=0)


def test_a_message_that_tells_several_alerts_has_links_to_all_and_takes_its_own_place_along(
    exporter: InMemorySpanExporter,
) -> None:
    news = [replace(FIRING, alert_id=f"alert_{n}", notification_id=f"note_{n}", traceparent=place(n)) for n in (7, 8)]
    with attempting(claim(), put_together("set_1", news)) as (content, note):
        note(Outcome(OutcomeKind.RETRYABLE, "the endpoint answered hunter2", 503))
    span = only(exporter)
    assert (parent_of(span), links_of(span)) == ((7, 1), [(8, 1)])
    assert content.traceparent == own_place(span)
    found = cast("Any", span.attributes)
    assert (found["monitors.attempt"], found["monitors.outcome"], found["http.response.status_code"]) == (
        2, "retryable", 503,
    )  # fmt: skip
    assert found["monitors.alert_ids"] == ("alert_7", "alert_8")
    assert span.status.status_code is StatusCode.ERROR
    assert "hunter2" not in span.to_json()
    assert FIRING.title not in span.to_json()


def test_an_attempt_to_tell_what_isnt_followed_is_made_as_ever(exporter: InMemorySpanExporter) -> None:
    with attempting(claim(), FIRING) as (content, note):
        note(Outcome(OutcomeKind.OK, ""))
    assert content is FIRING
    assert exporter.get_finished_spans() == ()


def test_what_is_told_again_for_weeks_leaves_the_trace_and_the_first_and_escalated_ones_stay() -> None:
    payload = notification(1, place(7)).SerializeToString()
    again, first = (message_from_payload(repeat_of(1, payload, number, 2).payload, "chan_1") for number in (3, 0))
    assert (again.traceparent, first.traceparent) == ("", place(7))
    escalation = SimpleNamespace(policy="p", step=1, step_count=2, unacknowledged=1, told_before=())
    escalated = escalation_of(1, payload, 1, 2, cast("Any", escalation))
    assert message_from_payload(escalated.payload, "chan_1").traceparent == place(7)
