"""However tenant a wanders through all that it may call: nothing that only tenant b has is ever told, or logged."""

import logging
import random
from collections.abc import Iterator

import pytest
from google.protobuf.message import Message

from monitors.v1 import evaluator_service_pb2 as evaluator
from monitors.v1 import notifier_service_pb2 as notifier
from monitors.v1 import rule_service_pb2 as rules
from tests.harness import LoopThread
from tests.tenancy.requests import (
    FOR_SERVICES,
    FOR_USERS,
    own_requests,
    places,
    request_kind,
    values_at,
    values_of,
    with_value,
)
from tests.tenancy.test_tools import own_arguments, tools_of
from tests.tenancy.test_tools import values_of as values_for_tools
from tests.tenancy.world import METHODS, Tenant, World

STEPS = 400
# What makes rules silent, keys void and channels go would end the walk early.
FINAL = ("DeleteRule", "DeleteChannel", "RevokeKey")


def canaries_of(b: Tenant) -> list[str]:
    """All that nobody but b may ever see."""
    given = [text for name, text in b.ids.items() if not name.endswith("_etag")]
    return [b.canary, b.name, b.key, b.key.split("_")[2], *given]


class Lines(logging.Handler):
    """All that is logged."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.text: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.text.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    logger = logging.getLogger()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(before)


def walk(a: Tenant, seed: int) -> Iterator[tuple[str, Message]]:
    """Requests of all methods, most of them with something of a's own at some place."""
    chance = random.Random(seed)
    requests, values = own_requests(a), values_of(a)
    found = {name: list(places(FOR_USERS[name].input_type)) for name in requests}
    names = [name for name in requests if name not in FINAL]
    for step in range(STEPS):
        # Each method comes a few times at least.
        name = names[step % len(names)] if step % 2 else chance.choice(names)
        request = requests[name]
        for place in chance.sample(found[name], min(len(found[name]), chance.randint(0, 2))):
            for value in values_at(place, values)[:1]:
                request = with_value(request, place, value)
        yield name, request


def test_no_answer_and_no_log_line_tells_of_another_tenant(world: World, lines: Lines) -> None:
    a, canaries = world.a, canaries_of(world.b)
    ends: dict[str, int] = {}
    for name, request in walk(a, seed=7):
        outcome = a.call(name, request, most=3)
        ends[outcome.code] = ends.get(outcome.code, 0) + 1
        told = f"{outcome} {outcome.metadata}"
        assert not [each for each in canaries if each in told], (name, request)
        for message in outcome.responses:
            # As text, the bytes of charts and tokens would be escaped.
            assert not [each for each in canaries if each.encode() in message.SerializeToString()], name
    for name in FOR_SERVICES:
        a.call(name, request_kind(METHODS[name])())
    for value in ("x=1", f"{a.monitor} x=", "m,monitor_id=a x=1,y=2i 1"):
        status, told = a.push(value, a.point(1.0))
        assert not [each for each in canaries if each in f"{status} {told}"]
    assert lines.text
    assert not [line for line in lines.text if any(each in line for each in canaries)]
    # Most of it is answered, so that there is something in which it could stand.
    assert ends["OK"] > STEPS / 3, ends


def test_no_tool_tells_of_another_tenant(loop_thread: LoopThread, world: World, lines: Lines) -> None:
    tools, canaries = tools_of(loop_thread, world, world.a), canaries_of(world.b)
    chance = random.Random(7)
    own, values = own_arguments(world.a), values_for_tools(world.a)
    own["list_alert_rules"] |= {"limit": 50, "detail": "detailed"}
    own["list_alerts"] |= {"limit": 50, "detail": "detailed", "explain": True}
    for _ in range(60):
        name = chance.choice(list(own))
        parameter = chance.choice([*values, ""])
        answer = tools(
            name, **own[name], **({parameter: values[parameter][0]} if parameter not in ("", *own[name]) else {})
        )
        assert not [each for each in canaries if each in f"{answer.text} {answer.data}"], name
    assert not [line for line in lines.text if any(each in line for each in canaries)]


def test_what_is_looked_for_is_what_its_owner_sees(world: World) -> None:
    b = world.b
    told = "".join(
        str(b.get(name, request))
        for name, request in (
            ("ListRules", rules.ListRulesRequest()),
            ("ListAlerts", rules.ListAlertsRequest()),
            ("ListKeys", rules.ListKeysRequest()),
            ("ListChannels", notifier.ListChannelsRequest()),
            ("ListDeliveries", notifier.ListDeliveriesRequest()),
            ("ListSilences", notifier.ListSilencesRequest()),
            ("ListMuteTimings", notifier.ListMuteTimingsRequest()),
            ("ListRoutes", notifier.ListRoutesRequest()),
            ("ListEscalationPolicies", notifier.ListEscalationPoliciesRequest()),
            ("ListInhibitions", notifier.ListInhibitionsRequest()),
            ("ListSeries", evaluator.ListSeriesRequest()),
        )
    )
    secret = ("secret", "key_text")
    assert [name for name, text in b.ids.items() if text not in told and not name.endswith(("_etag", *secret))] == []
