"""Wake-ups between processes, through Redis."""

import asyncio

from monitors.mesh.redis.wakeups import CHANNEL, RedisWakeups
from monitors.mesh.shared import Shared
from monitors.mesh.wakeups import ALERTS, NOTIFICATIONS, RULES, LocalWakeups
from tests.harness import LoopThread
from tests.mesh.redis.conftest import wait_until_used
from tests.processes import wait_for
from tests.servers.redis import RedisServer


def upcoming(loop: LoopThread, shared: Shared, topic: str) -> asyncio.Event:
    """Set when the topic's waiters are woken next."""

    async def take() -> asyncio.Event:
        return shared.wakeups.topic(topic).upcoming

    return loop.run(take())


def announce(loop: LoopThread, shared: Shared, *topics: str) -> None:
    async def tell() -> None:
        for topic in topics:
            shared.wakeups.topic(topic).announce()

    loop.run(tell())


def wait_until_heard(loop: LoopThread, server: RedisServer, *listeners: Shared) -> None:
    """Waits until all are subscribed, which wakes everybody once."""
    with server.client as client:
        wait_for(lambda: client.pubsub_numsub(CHANNEL)[0][1] == len(listeners), "the subscriptions")
    # A message that comes back shows that what came before it has been heard.
    for shared in listeners:
        probe = upcoming(loop, shared, "probe")
        with server.client as client:
            client.publish(CHANNEL, "test probe")
        wait_for(probe.is_set, "the probe")


def test_a_change_wakes_those_who_wait_for_it_in_other_processes(
    loop_thread: LoopThread, one: Shared, two: Shared, server: RedisServer
) -> None:
    wait_until_heard(loop_thread, server, one, two)
    rules, alerts, notifications = (upcoming(loop_thread, two, topic) for topic in (RULES, ALERTS, NOTIFICATIONS))
    announce(loop_thread, one, RULES, NOTIFICATIONS)
    wait_for(rules.is_set, "the wake-up")
    wait_for(notifications.is_set, "the wake-up")
    assert not alerts.is_set()


def test_who_announces_wakes_their_own_at_once_and_not_again(
    loop_thread: LoopThread, one: Shared, two: Shared, server: RedisServer
) -> None:
    wait_until_heard(loop_thread, server, one, two)
    assert isinstance(one.wakeups, RedisWakeups)
    heard = one.wakeups.heard_count
    before = upcoming(loop_thread, one, RULES)
    announce(loop_thread, one, RULES)
    assert before.is_set()
    after, other = upcoming(loop_thread, one, RULES), upcoming(loop_thread, one, ALERTS)
    announce(loop_thread, two, ALERTS)
    wait_for(other.is_set, "the other's wake-up")
    assert not after.is_set()
    assert one.wakeups.heard_count == heard + 1


def test_after_the_connection_is_back_everybody_looks_once(
    loop_thread: LoopThread, one: Shared, two: Shared, server: RedisServer
) -> None:
    wait_until_heard(loop_thread, server, one, two)
    events = [upcoming(loop_thread, shared, RULES) for shared in (one, two)]
    server.kill()
    announce(loop_thread, one, ALERTS)
    assert not any(event.is_set() for event in events)
    server.start()
    for event in events:
        wait_for(event.is_set, "the look after the reconnect")
    for shared in (one, two):
        wait_until_used(shared)
    wait_until_heard(loop_thread, server, one, two)
    event = upcoming(loop_thread, two, RULES)
    announce(loop_thread, one, RULES)
    wait_for(event.is_set, "the wake-up")


def test_messages_of_another_time_do_no_harm(loop_thread: LoopThread, one: Shared, server: RedisServer) -> None:
    wait_until_heard(loop_thread, server, one)
    event = upcoming(loop_thread, one, RULES)
    with server.client as client:
        for message in (b"", b"\xff\xfe", b"x", b"x unknown", b"x  y", b"x rules"):
            client.publish(CHANNEL, message)
    wait_for(event.is_set, "the wake-up")


def test_without_redis_a_topic_is_the_same_for_all_of_the_process(loop_thread: LoopThread) -> None:
    async def wake() -> bool:
        wakeups = LocalWakeups()
        event = wakeups.topic(RULES).upcoming
        wakeups.topic(ALERTS).announce()
        assert not event.is_set()
        wakeups.topic(RULES).announce()
        return event.is_set()

    assert loop_thread.run(wake())
