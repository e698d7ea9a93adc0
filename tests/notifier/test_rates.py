"""How much endpoints take: what finds no token waits for one, without a lease and without an attempt."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.config import load_settings
from monitors.mesh.limits import LocalBuckets
from monitors.mesh.masking import Secret
from monitors.mesh.redis import link
from monitors.mesh.shared import Shared, open_shared
from monitors.mesh.times import SECOND
from monitors.notifier import delivery
from monitors.notifier.flow import Flow
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.checks import new_webhook_secret
from monitors.notifier.model.message import Kind
from monitors.notifier.model.places import AT_ONCE
from monitors.notifier.model.rates import Endpoint, Rates, Tokens
from monitors.notifier.model.targets import ConsoleTarget, EmailTarget, SlackTarget, Target, WebhookTarget
from monitors.notifier.store.claims import Claim, Part
from monitors.v1 import alert_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import DELIVERY_OUTCOME_OK, SlackChannel
from monitors.v1.notification_pb2 import Channel as ChannelProto
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, outcomes
from tests.notifier.world import MovableClock, Receiver, World, notification, running
from tests.processes import wait_for
from tests.servers.redis import redis_server

NOW = 1_800_000_000 * SECOND
HOOK = WebhookTarget(Secret("https://example.org/hook?token=1"), new_webhook_secret())
RATES = Rates(webhook=100, tenant=50)


def channel(target: Target, tenant: str = "acme", name: str = "a") -> Channel:
    return Channel(tenant, f"chan_{name}", name, target)


def keys(target: Target, tenant: str = "acme", name: str = "a") -> list[str]:
    return [endpoint.key for endpoint in RATES.of(channel(target, tenant, name))]


def test_an_endpoint_is_a_host_with_a_credential_whatever_the_channel() -> None:
    other = WebhookTarget(Secret("https://example.org/hook?token=2"), new_webhook_secret())
    again = WebhookTarget(HOOK.url, new_webhook_secret())
    assert keys(HOOK) == keys(again, name="b")
    assert keys(HOOK)[0] != keys(other)[0]
    # What one tenant does to an endpoint is nothing that another could learn of.
    assert not set(keys(HOOK)) & set(keys(HOOK, "globex"))
    # But all mail goes through the one server of the operator.
    mailbox = EmailTarget(("ann@example.org",))
    assert keys(mailbox)[0] == keys(mailbox, "globex")[0]
    assert "token" not in "".join(keys(HOOK))


def test_each_kind_has_the_rate_that_its_provider_takes() -> None:
    slack = SlackTarget(Secret("https://hooks.slack.com/services/T/B/x"))
    rates = {target.kind: RATES.of(channel(target)) for target in (slack, HOOK, EmailTarget(("a@b.example",)))}
    assert [(kind, found[0].rate, found[0].burst) for kind, found in rates.items()] == [
        ("slack", 1, 3), ("webhook", 100, 1000), ("email", 10, 10),
    ]  # fmt: skip
    assert {(found[1].rate, found[1].burst) for found in rates.values()} == {(50, 500)}
    assert RATES.of(channel(ConsoleTarget())) == ()
    assert Rates(0, 0).of(channel(HOOK)) == ()


@given(st.lists(st.tuples(st.integers(0, 5 * SECOND), st.integers(0, 9)), max_size=30))
def test_no_more_goes_than_the_bucket_held_and_gained(steps: list[tuple[int, int]]) -> None:
    endpoint, tokens, now, taken = Endpoint("e", 2.0, 5), Tokens(), NOW, 0
    for pause, wanted in steps:
        now += pause
        count = min(wanted, tokens.left(endpoint, now))
        tokens.spend(endpoint, count, now)
        taken += count
        assert taken <= 5 + 2 * (now - NOW) / SECOND + 1e-3
        later = tokens.next_at(endpoint, now)
        assert (later == now) == (tokens.left(endpoint, now) > 0)
        assert tokens.left(endpoint, later) > 0


def test_a_full_chat_channel_waits_without_a_lease_and_uses_up_no_attempts(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock = MovableClock()
    with running(loop_thread, tmp_path, clock=clock) as world:
        make_slack(world, receiver, "one")
        make_slack(world, receiver, "two")
        make_webhook(world, receiver, "hook", default=False)
        notes = [notification(f"note_{n}", stream=f"s{n}", alert=f"al{n}", sequence=n) for n in range(3)]
        for note in notes:
            note.alert.rule_id = note.id  # so that each is told alone
        world.tell(*notes)
        # Two channels with the same URL are one endpoint, which takes three at once.
        receiver.received.wait_for_count(3)
        world.rules.reports.wait(lambda reports: len(reports) == 3)
        world.tell(notification("note_hook", stream="h", channels=("hook",), sequence=9))
        receiver.received.wait_for_count(4)
        waiting = pb.ListDeliveriesRequest(state=alert_pb2.DELIVERY_STATE_PENDING, include_attempts=True)
        assert [list(one.attempts) for one in world.stub.ListDeliveries(waiting).deliveries] == [[]] * 3
        clock.advance(1.01)
        receiver.received.wait_for_count(5)
        clock.advance(2.01)
        receiver.received.wait_for_count(7)
        world.rules.reports.wait(lambda reports: len(reports) == 7)
        listed = world.stub.ListDeliveries(pb.ListDeliveriesRequest()).deliveries
        assert [one.attempt_count for one in listed] == [1] * 7


def make_slack(world: World, receiver: Receiver, name: str) -> None:
    target = SlackChannel(webhook_url=f"{receiver.url}/slack")
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=ChannelProto(name=name, is_default=True, slack=target)))


def claim(number: int) -> Claim:
    parts = (Part(f"dlv_{number}", b"", 1, "alert_1", Kind.FIRING, "stream"),)
    return Claim("acme", channel(HOOK), Kind.FIRING, parts, "", False, "token", NOW)


def test_two_notifiers_together_send_no_more_than_one_may(loop_thread: LoopThread) -> None:
    rates, shared = Rates(webhook=0.1, tenant=0), LocalBuckets()
    one, two = Flow(rates, shared), Flow(rates, shared)

    async def send(flow: Flow, count: int) -> list[bool]:
        room = flow.rooms(NOW)()
        claims = [claim(number) for number in range(count)]
        for each in claims:
            room.lane(each.channel, 2, NOW, is_tried=False)
        permits = flow.begin(claims, room)
        return [await flow.may_send(permit, NOW) for permit in permits]

    assert loop_thread.run(send(one, 1)) == [True]
    assert loop_thread.run(send(two, 1)) == [False]
    # What the other has taken is known from then on, so that nothing is claimed only to be put back.
    room = two.rooms(NOW)()
    lane = room.lane(channel(HOOK), 2, NOW, is_tried=False)
    assert not room.turns.has_room(lane)
    assert room.next_token() == pytest.approx(NOW + 10 * SECOND, abs=SECOND)


def test_what_has_ended_takes_no_place_from_what_the_step_that_records_it_claims() -> None:
    flow = Flow(Rates(webhook=0, tenant=0))
    claims = [claim(number) for number in range(AT_ONCE)]
    flow.begin(claims, flow.rooms(NOW)())
    assert flow.is_busy(NOW)
    assert flow.rooms(NOW)().turns.capacity == 0
    assert flow.rooms(NOW, claims[:3])().turns.capacity == 3


def test_what_another_notifier_leaves_no_token_for_waits_and_loses_no_attempt(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    clock, others = MovableClock(), LocalBuckets()
    with running(loop_thread, tmp_path, clock=clock, shared=Shared(buckets=Together(others))) as world:
        make_slack(world, receiver, "one")
        make_webhook(world, receiver, "hook", default=False)
        (key,) = [e.key for e in RATES.of(channel(SlackTarget(Secret(f"{receiver.url}/slack")))) if "slack" in e.key]
        assert loop_thread.run(others.take_some(key, 0.001, 3, 3)) == (3, 0)
        world.tell(notification("note_1"), notification("note_2", stream="h", channels=("hook",), sequence=2))
        world.wait_for_states(("note_2", "DELIVERED"))
        (waiting,) = world.stub.ListDeliveries(
            pb.ListDeliveriesRequest(state=alert_pb2.DELIVERY_STATE_PENDING)
        ).deliveries
        assert (waiting.notification_id, waiting.attempt_count) == ("note_1", 0)
        loop_thread.run(forget(others))
        clock.advance(3600)
        world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
        assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_OK]


def test_what_runs_out_of_time_waiting_for_a_shared_token_is_given_back_at_once(
    loop_thread: LoopThread,
    tmp_path: Path,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(link, "CALL_SECONDS", 60.0)
    monkeypatch.setattr(delivery, "ATTEMPT_SECONDS", 0.2)
    with (
        redis_server() as redis,
        loop_thread.opened(open_shared(load_settings({"REDIS_URL": redis.url}).redis)) as shared,
        running(loop_thread, tmp_path, shared=shared) as world,
    ):
        make_webhook(world, receiver, "hook")
        wait_for(lambda: shared.redis and shared.redis.is_used, "the way to Redis")
        with redis.slow():
            world.tell(notification("note_1"))
            wait_for(lambda: "waited too long" in caplog.text, "an attempt without a token in time")
        # Its lease would have lasted longer than this waits.
        world.wait_for_states(("note_1", "DELIVERED"))
        assert outcomes(world, "note_1") == [DELIVERY_OUTCOME_OK]


@dataclass(frozen=True)
class Together:
    """Buckets from which somebody else takes as well."""

    buckets: LocalBuckets

    async def take(self, key: str, rate: float, burst: int, count: int = 1) -> float:
        return await self.buckets.take(key, rate, burst, count)

    async def take_some(self, key: str, rate: float, burst: int, count: int) -> tuple[int, float]:
        return await self.buckets.take_some(key, rate, burst, count)


async def forget(buckets: LocalBuckets) -> None:
    buckets._full.clear()
