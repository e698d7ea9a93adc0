"""How much may be told, by the tenant's tier: what goes beyond waits, and critical alerts have a share of their own."""

from pathlib import Path

import pytest

from monitors.mesh.channel_links import LIFETIME, ChannelLink, link_url, sign
from monitors.mesh.metrics.exposition import Metrics
from monitors.mesh.quotas import DEFAULTS, Tiers, changed_quotas
from monitors.mesh.times import SECOND
from monitors.notifier.model.channel import Channel as ChannelModel
from monitors.notifier.model.rates import Rates
from monitors.notifier.model.targets import EmailTarget
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1 import rule_pb2
from monitors.v1.alert_pb2 import DELIVERY_STATE_DELIVERED, DELIVERY_STATE_PENDING
from monitors.v1.notification_pb2 import Channel, Delivery, Notification, WebhookChannel
from tests.browser import fetch
from tests.harness import LoopThread
from tests.notifier.world import Receiver, World, notification, running

QUOTAS = changed_quotas(["free.messages=20"])
NOTICE = "notifier.notice"


def make_hook(world: World, receiver: Receiver) -> None:
    channel = Channel(name="hook", is_default=True, webhook=WebhookChannel(url=receiver.url))
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))


def fires(number: int, *, critical: bool = False) -> Notification:
    severity = rule_pb2.SEVERITY_CRITICAL if critical else rule_pb2.SEVERITY_HIGH
    name = f"note_{number}"
    return notification(name, alert=name, stream=name, severity=severity, sequence=number)


def log_of(world: World) -> dict[str, Delivery]:
    found = world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_size=1000)).deliveries
    return {one.notification_id: one for one in found}


def is_notice(body: bytes) -> bool:
    return NOTICE.encode() in body


@pytest.mark.parametrize("comes_from", ["default", "link"])
def test_what_goes_beyond_waits_and_critical_alerts_get_through(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver, comes_from: str
) -> None:
    tiers = Tiers(QUOTAS, "free" if comes_from == "default" else "enterprise")
    with running(loop_thread, tmp_path, quotas=tiers) as world:
        (make_hook if comes_from == "default" else make_hook_by_link)(world, receiver)
        metrics = Metrics()
        world.notifier.export(metrics)
        world.tell(*(fires(number) for number in range(1, 31)))
        # A fifth is kept for what is critical, as is that the tenant is told of it, once.
        told = receiver.received.wait_for_count(17)
        assert [is_notice(one.body) for one in told].count(True) == 1
        status = world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest())
        assert any("the tier 'free' allows 20 messages an hour" in problem for problem in status.problems)
        assert metrics.registry.get_sample_value("monitors_tenants_over_quota") == 1
        world.tell(*(fires(number, critical=True) for number in range(31, 34)))
        critical = receiver.received.wait_for_count(20)[17:]
        assert sorted(one.headers["webhook-id"][:7] for one in critical) == ["note_31", "note_32", "note_33"]
        waiting = [one for one in log_of(world).values() if one.state == DELIVERY_STATE_PENDING]
        assert (len(waiting), {one.attempt_count for one in waiting}) == (14, {0})
        world.clock.advance(3600)
        receiver.received.wait_for_count(34)
        world.rules.reports.wait(lambda reports: len(reports) >= 33)
        log = log_of(world)
        assert metrics.registry.get_sample_value("monitors_tenants_over_quota") == 0
    assert {one.state for one in log.values()} == {DELIVERY_STATE_DELIVERED}
    assert {one.attempt_count for one in log.values()} == {1}


def make_hook_by_link(world: World, receiver: Receiver) -> None:
    """By a link that says the tier of whoever asked for it."""
    page = world.rules.pages.wait_for_count(1)[-1]
    expire_time = (world.clock.now() + LIFETIME) // SECOND * SECOND
    token = sign(ChannelLink("acme", "ann", "hook", expire_time, tier="free"), page.key)
    entered = {"kind": "webhook", "webhook.url": receiver.url, "is_default": "yes"}
    assert fetch(link_url(page.url, token)).submit(entered).status == 201


MAIL = ChannelModel("acme", "chan_1", "mail", EmailTarget(("ann@example.org",)), tier="free")


@pytest.mark.parametrize(
    ("tier", "names"),
    [
        ("free", {"hourly", "hourly-ordinary", "mails", "mails-ordinary"}),
        ("platinum", {"hourly", "hourly-ordinary", "mails", "mails-ordinary"}),
        ("", set()),
        ("enterprise", set()),
        ("unlimited", set()),
    ],
)
def test_a_mail_counts_as_a_message_and_as_a_mail(tier: str, names: set[str]) -> None:
    channel = ChannelModel("acme", "chan_1", "mail", EmailTarget(("ann@example.org",)), tier=tier)
    found = Rates(0, 0).allowed(channel)
    assert {one.key.partition(":")[0] for one in found} == names
    assert all(one.key.endswith(":acme") for one in found)


def test_what_is_critical_leaves_what_others_may_use_alone() -> None:
    ordinary, critical = Rates(0, 0).allowed(MAIL), Rates(0, 0).allowed(MAIL, is_critical=True)
    assert set(critical) < set(ordinary)
    bursts = {one.key: one.burst for one in ordinary}
    assert (bursts["hourly:acme"], bursts["hourly-ordinary:acme"]) == (DEFAULTS["free"].messages, 400)
