"""Two replicas of RuleService on one MariaDB are asked at the same moment: it ends as if one had been first."""

from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.mesh.times import now_nanos
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.harness import LoopThread
from tests.rules.client import DEADLINE, FIRING, RESOLVED, SERVICE, Client
from tests.rules.test_replicas import Replicas

ROUNDS = 12
OK = grpc.StatusCode.OK


@pytest.fixture(scope="module")
def replicas(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Client, Client]]:
    with Replicas(loop_thread, tmp_path_factory.mktemp("races"), None).opened() as clients:
        yield clients


def at_once(*calls: tuple[Client, Any, bool]) -> list[Any]:
    """Sends requests together, each to a client's replica, as the mesh or as the tenant. Returns the answers, or the
    code where one was refused."""
    waiting = []
    for client, request, as_mesh in calls:
        method = getattr(client.stub, type(request).__name__.removesuffix("Request"))
        metadata = SERVICE if as_mesh else client.metadata
        waiting.append(method.future(request, metadata=metadata, timeout=DEADLINE))
    return [one.result() if one.exception() is None else one.code() for one in waiting]


def recorded(*transitions: mesh_pb2.Transition) -> pb.RecordTransitionsRequest:
    return pb.RecordTransitionsRequest(transitions=transitions)


def open_alerts(client: Client, rule_id: str) -> list[alert_pb2.Alert]:
    request = pb.ListAlertsRequest(filter=f'rule_id = "{rule_id}" AND state = "firing"')
    return list(client.call(request).alerts)


def test_of_two_changes_of_the_same_version_one_is_made(replicas: tuple[Client, Client]) -> None:
    for _ in range(ROUNDS):
        rule = replicas[0].create()
        changes = [
            pb.UpdateRuleRequest(
                rule=rule_pb2.Rule(id=rule.id, title=f"by {number}", etag=rule.etag),
                update_mask=FieldMask(paths=["title"]),
            )
            for number in range(2)
        ]
        answers = at_once(*((client, change, False) for client, change in zip(replicas, changes, strict=True)))
        made = [answer for answer in answers if not isinstance(answer, grpc.StatusCode)]
        assert len(made) == 1
        assert grpc.StatusCode.ABORTED in answers
        assert replicas[1].get(rule.id).title == made[0].rule.title


def test_a_request_that_comes_to_both_is_carried_out_once(replicas: tuple[Client, Client]) -> None:
    for number in range(ROUNDS):
        rule = rule_pb2.Rule(monitor_id="mon_host", title="once", condition_text="cpu_percent > 90")
        request = pb.CreateRuleRequest(rule=rule, request_id=f"race-{number}")
        first, second = at_once((replicas[0], request, False), (replicas[1], request, False))
        assert first == second


def test_no_alert_stays_open_whose_rule_is_deleted_as_it_fires(replicas: tuple[Client, Client]) -> None:
    here, there = replicas
    for _ in range(ROUNDS):
        rule = here.create()
        firing = recorded(here.transition(rule, FIRING, now_nanos()))
        at_once((here, firing, True), (there, pb.DeleteRuleRequest(rule_id=rule.id), False))
        assert open_alerts(here, rule.id) == []


def test_an_alert_that_ends_while_somebody_acknowledges_it_has_ended(replicas: tuple[Client, Client]) -> None:
    here, there = replicas
    for _ in range(ROUNDS):
        rule = here.create()
        alert_id = here.fire(rule)
        over = recorded(here.transition(rule, RESOLVED, now_nanos()))
        acknowledge = pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], note="mine")
        _, answer = at_once((here, over, True), (there, acknowledge, False))
        alert = here.alert(alert_id).alert
        assert alert.HasField("resolve_time")
        assert alert.acknowledgement.note == answer.alerts[0].acknowledgement.note == "mine"
        assert open_alerts(here, rule.id) == []


def test_a_transition_that_comes_to_both_opens_one_alert(replicas: tuple[Client, Client]) -> None:
    here, there = replicas
    for _ in range(ROUNDS):
        rule = here.create()
        firing = recorded(here.transition(rule, FIRING, now_nanos()))
        answers = at_once((here, firing, True), (there, firing, True))
        assert len({answer.results[0].alert_id for answer in answers}) == 1
        assert len(open_alerts(here, rule.id)) == 1


def test_events_are_seen_in_the_order_of_their_numbers_and_none_is_missed(replicas: tuple[Client, Client]) -> None:
    here, there = replicas
    rules = [here.create(title=f"rule {number}") for number in range(2 * ROUNDS)]
    watch = there.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=there.metadata, timeout=DEADLINE)
    next(watch)
    for first, second in zip(rules[::2], rules[1::2], strict=True):
        at_once(
            (here, recorded(here.transition(first, FIRING, now_nanos())), True),
            (there, recorded(there.transition(second, FIRING, now_nanos())), True),
        )
    seen: set[str] = set()
    while len(seen) < len(rules):
        message = next(watch)
        if message.HasField("event"):
            seen.add(message.alert.rule_id)
    watch.cancel()
    assert seen == {rule.id for rule in rules}
