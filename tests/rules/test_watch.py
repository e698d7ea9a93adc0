"""What evaluators and people watch: rules as they change, alerts as they change."""

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from monitors.mesh.database import Database
from monitors.mesh.times import now_nanos
from monitors.rules.main import MEMORY
from monitors.rules.model.condition import Absence
from monitors.rules.model.rule import Rule
from monitors.rules.service import base, polling
from monitors.rules.store import alerts as alert_store
from monitors.rules.store import counters, tables
from monitors.rules.store import rules as rule_store
from monitors.rules.store import watching as watch_store
from monitors.rules.store.tables import deleted_rules
from monitors.rules.translate import watching as watching_messages
from monitors.rules.translate.watching import encode_rules
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import ACKNOWLEDGED, DEADLINE, FIELDS, FIRING, RESOLVED, SECOND, SERVICE, Client, refused
from tests.rules.running import running
from tests.servers.backends import database_url
from tests.tenants import of_all


@dataclass
class Watched:
    """A watcher's picture of a tenant's rules, kept up to date by a thread."""

    tenant: str
    stream: Any
    rules: dict[str, rule_pb2.Rule] = field(default_factory=dict)
    revision: int = 0
    changed: "queue.Queue[int]" = field(default_factory=queue.Queue)

    def follow(self) -> None:
        try:
            for message in self.stream:
                for each in message.rules:
                    if each.tenant_id == self.tenant:
                        self.rules[each.rule.id] = each.rule
                for each in message.deleted:
                    self.rules.pop(each.rule_id, None)
                if message.revision:
                    self.revision = message.revision
                    self.changed.put(message.revision)
        except grpc.RpcError:
            # How a cancelled stream ends.
            self.changed.put(0)

    def until(self, revision: int) -> dict[str, str]:
        """The titles of the rules once everything up to a revision has come."""
        while self.revision < revision:
            self.changed.get(timeout=DEADLINE)
        return {rule_id: rule.title for rule_id, rule in self.rules.items()}


@contextmanager
def watching(client: Client, start_revision: int = 0) -> Iterator[Watched]:
    stream = client.stub.WatchRules(
        pb.WatchRulesRequest(start_revision=start_revision), metadata=SERVICE, timeout=DEADLINE
    )
    watched = Watched(client.tenant, stream)
    thread = threading.Thread(target=watched.follow)
    thread.start()
    yield watched
    stream.cancel()
    thread.join(DEADLINE)


def test_a_watcher_sees_all_rules_and_every_change(client: Client) -> None:
    one, two = client.create(title="one"), client.create(title="two", enabled=False)
    with watching(client) as watched:
        assert watched.until(int(two.etag)) == {one.id: "one", two.id: "two"}
        assert not watched.rules[two.id].enabled
        three = client.create(title="three")
        newer = client.call(pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=one.id, title="ONE"))).rule
        client.call(pb.DeleteRuleRequest(rule_id=two.id))
        assert watched.until(int(newer.etag) + 1) == {one.id: "ONE", three.id: "three"}
        assert watched.rules[one.id].condition.comparison.left.input.measurement == "cpu"


def test_a_watcher_goes_on_where_it_stopped(client: Client) -> None:
    one, two = client.create(title="one"), client.create(title="two")
    three = client.create(title="three")
    client.call(pb.DeleteRuleRequest(rule_id=one.id))
    with watching(client, int(two.etag)) as watched:
        assert watched.until(int(three.etag) + 1) == {three.id: "three"}


def test_a_revision_that_is_not_known_is_refused(client: Client) -> None:
    rule = client.create()
    request = pb.WatchRulesRequest(start_revision=int(rule.etag) + 1000)
    error = refused(lambda: next(client.stub.WatchRules(request, metadata=SERVICE, timeout=DEADLINE)))
    assert (error.code, error.reason) == ("OUT_OF_RANGE", "REVISION_TOO_OLD")


def test_thousands_of_changes_come_in_pieces_and_none_is_skipped(client: Client) -> None:
    start = client.create().etag
    rules = [rule_pb2.Rule(monitor_id="mon_host", title=f"{n}", condition_text="cpu_percent > 1") for n in range(1000)]
    for _ in range(2):
        client.call(pb.BatchCreateRulesRequest(rules=rules))
    client.call(pb.BatchCreateRulesRequest(rules=rules[:500]))
    with watching(client, int(start)) as watched:
        assert len(watched.until(int(start) + 2500)) == 2500
    with watching(client) as watched:
        assert len(watched.until(int(start) + 2500)) == 2501


def test_deletions_are_forgotten_after_a_week(loop_thread: LoopThread, tmp_path: Any) -> None:
    database = Database(database_url(tmp_path / "rules.db"), name="watch", migrations="monitors.rules.migrations")
    database.upgrade()

    @of_all
    def work(session: Any) -> list[bool]:
        counters.take(session, counters.REVISION, 5)
        rule_store.delete_rule(session, "t", "rule_1", now_nanos())
        rule_store.delete_rule(session, "t", "rule_2", now_nanos())
        session.execute(update(deleted_rules).where(deleted_rules.c.rule_id == "rule_1").values(delete_time=1))
        watch_store.forget_before(session, now_nanos() - MEMORY)
        return [watch_store.can_resume(session, revision) for revision in (5, 6, 7, 8)]

    assert loop_thread.run(database.write(work)) == [False, True, True, False]
    database.close()


def test_what_somebody_resolves_by_hand_is_told_to_those_who_watch_rules(client: Client) -> None:
    rule = client.create()
    alert_id = client.fire(rule, 1_000, episode=900, group={"cpu": "7"})
    over = client.fire(rule, 1_000)
    stream = client.stub.WatchRules(
        pb.WatchRulesRequest(start_revision=int(rule.etag)), metadata=SERVICE, timeout=DEADLINE
    )
    # What the evaluator itself ends isn't news to it.
    client.record(client.transition(rule, RESOLVED, 2_000, episode=1_000))
    assert client.alert(over).alert.resolve_reason == "condition"
    client.call(pb.ResolveAlertRequest(alert_id=alert_id, note="known"))
    newer = client.create()
    resolved: list[Any] = []
    revision = 0
    while revision < int(newer.etag):
        message = next(stream)
        revision = message.revision
        resolved += message.resolved
    stream.cancel()
    (episode,) = [each for each in resolved if each.tenant_id == client.tenant]
    assert (episode.alert_id, episode.rule_id, episode.monitor_id) == (alert_id, rule.id, "mon_host")
    assert (episode.episode, episode.fire_time_nanos, dict(episode.group)) == (900, 1_000, {"cpu": "7"})


bodies = st.lists(st.tuples(st.text(max_size=200), st.binary(max_size=300), st.integers(0, 2**63 - 1)), max_size=30)


@given(bodies, st.integers(1, 2_000))
def test_rules_as_they_are_stored_are_what_a_watcher_reads(
    stored: list[tuple[str, bytes, int]], message_size: int
) -> None:
    rules = [(tenant, rule_pb2.Rule(title=body.hex()).SerializeToString(), number) for tenant, body, number in stored]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watching_messages, "MESSAGE_SIZE", message_size)
        messages = list(encode_rules(rules))
    read = [rule for message in messages for rule in pb.WatchRulesResponse.FromString(message).rules]
    assert [(rule.tenant_id, rule.rule.SerializeToString(), rule.revision) for rule in read] == rules
    assert all(
        len(message) <= message_size + 20 * len(pb.WatchRulesResponse.FromString(message).rules)
        or len(pb.WatchRulesResponse.FromString(message).rules) == 1
        for message in messages
    )


def test_no_rule_is_missed_that_changes_while_a_snapshot_is_read(loop_thread: LoopThread, tmp_path: Any) -> None:
    database = Database(database_url(tmp_path / "rules.db"), name="pages", migrations="monitors.rules.migrations")
    database.upgrade()

    def put(session: Any, *revisions: int) -> None:
        for revision in revisions:
            counters.take(session, counters.REVISION)
            rule = Rule(
                id=f"rule_{revision}", monitor_id="m", title=f"{revision}", condition=Absence(SECOND), stated="",
                revision=revision,
            )  # fmt: skip
            rule_store.insert_rules(session, "t", [(rule, f"{revision}".encode())])

    def move(session: Any, rule_id: str, revision: int) -> None:
        session.execute(update(tables.rules).where(tables.rules.c.id == rule_id).values(revision=revision))

    @of_all
    def work(session: Any) -> None:
        put(session, 1, 2, 3, 4)
        first = watch_store.snapshot_page(session, 0, 2)
        # One that has been read changes, and one that hasn't; another is gone, and one is new.
        move(session, "rule_1", 5)
        move(session, "rule_4", 6)
        put(session, 7)
        rule_store.delete_rule(session, "t", "rule_3", 1)
        second = watch_store.snapshot_page(session, 2, 2)
        third = watch_store.snapshot_page(session, 6, 2)
        assert [row[1:] for row in (*first, *second, *third)] == [
            (b"1", 1), (b"2", 2), (b"1", 5), (b"4", 6), (b"7", 7),
        ]  # fmt: skip
        assert not watch_store.snapshot_page(session, 7, 2)

    loop_thread.run(database.write(work))
    database.close()


@contextmanager
def alerts_of(client: Client, include_firing: bool = False) -> Iterator[Any]:
    stream = client.stub.WatchAlerts(
        pb.WatchAlertsRequest(include_firing=include_firing), metadata=client.metadata, timeout=DEADLINE
    )
    yield stream
    stream.cancel()


def test_alerts_are_seen_as_they_change(client: Client) -> None:
    rule = client.create()
    before = client.fire(rule)
    now = now_nanos()
    with alerts_of(client) as stream:
        assert next(stream) == pb.WatchAlertsResponse()
        alert_id = client.fire(rule, now, group={"cpu": "1"}, value=3)
        client.call(pb.AcknowledgeAlertsRequest(alert_ids=[before], note="mine"))
        client.record(client.transition(rule, RESOLVED, now + 1, episode=now, group={"cpu": "1"}))
        seen = [(message.event.kind, message.alert.id) for message in (next(stream) for _ in range(3))]
    assert seen == [(FIRING, alert_id), (ACKNOWLEDGED, before), (RESOLVED, alert_id)]


def test_a_watch_may_begin_with_what_fires_now(client: Client) -> None:
    rule = client.create()
    over, firing = client.fire(rule, group={"cpu": "1"}), client.fire(rule)
    client.call(pb.ResolveAlertRequest(alert_id=over))
    with alerts_of(client, include_firing=True) as stream:
        first = next(stream)
        assert (first.alert.id, first.HasField("event")) == (firing, False)
        assert next(stream) == pb.WatchAlertsResponse()


def test_nobody_sees_the_alerts_of_others(client: Client) -> None:
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    rule, foreign = client.create(), other.create()
    with alerts_of(client, include_firing=True) as stream:
        next(stream)
        other.fire(foreign)
        own = client.fire(rule)
        assert next(stream).alert.id == own


def test_a_change_wakes_those_who_watch_that_tenants_alerts_and_nobody_else(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    look = alert_store.events_since

    def counted(session: Any, tenant: str, *rest: Any) -> Any:
        looks.append(tenant)
        return look(session, tenant, *rest)

    monkeypatch.setattr(alert_store, "events_since", counted)
    monkeypatch.setattr(base, "HEARTBEAT_SECONDS", 3600.0)
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    rule = client.create()
    with alerts_of(client) as stream, alerts_of(other) as quiet:
        next(stream)
        next(quiet)
        for number in range(5):
            alert_id = client.fire(rule, group={"cpu": f"{number}"})
            assert next(stream).alert.id == alert_id
        mine = client.fire(client.create())
        # By the time of the second sight all that the first changes have woken has looked.
        assert next(stream).alert.id == mine
        assert looks.count(other.tenant) == 1
        theirs = other.fire(other.create())
        assert next(quiet).alert.id == theirs


def test_while_nobody_watches_alerts_nothing_is_read_about_their_changes(
    loop_thread: LoopThread, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    look = alert_store.newest_sequence

    def counted(session: Any) -> int:
        looks.append(look(session))
        return looks[-1]

    monkeypatch.setattr(polling, "newest_sequence", counted)
    with (
        loop_thread.opened(running(tmp_path)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        client = Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)
        rule = client.create()
        for number in range(3):
            client.fire(rule, group={"cpu": f"{number}"})
        assert looks == []
        with alerts_of(client) as stream:
            next(stream)
            alert_id = client.fire(client.create())
            assert next(stream).alert.id == alert_id
        assert looks != []


def test_a_stream_that_has_nothing_to_say_gives_a_sign_of_life(client: Client) -> None:
    begin = now_nanos()
    streams: list[Any] = [
        client.stub.WatchRules(pb.WatchRulesRequest(), metadata=SERVICE, timeout=DEADLINE),
        client.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=client.metadata, timeout=DEADLINE),
        client.stub.LeaseNotifications(pb.LeaseNotificationsRequest(), metadata=SERVICE, timeout=DEADLINE),
    ]
    for stream in streams:
        # All that there is comes first; what comes after it is only a sign of life.
        while stream_is_early(next(stream), begin):
            pass
        stream.cancel()
    assert now_nanos() - begin < 10 * SECOND


def stream_is_early(message: Any, begin: int) -> bool:
    return message is not None and now_nanos() - begin < SECOND


def test_a_change_by_another_process_is_seen(loop_thread: LoopThread, tmp_path: Any) -> None:
    with (
        loop_thread.opened(running(tmp_path)) as one,
        loop_thread.opened(running(tmp_path)) as two,
        grpc.insecure_channel(f"127.0.0.1:{one.port}") as here,
        grpc.insecure_channel(f"127.0.0.1:{two.port}") as there,
    ):
        mine = Client(RuleServiceStub(here), "local", one.local_key, one.rules, loop_thread)
        theirs = Client(RuleServiceStub(there), "local", two.local_key, two.rules, loop_thread)
        mine.report("mon_host", FIELDS)
        with watching(mine) as watched, mine.notifications() as outbox:
            next(outbox.stream)
            rule = theirs.create()
            assert watched.until(int(rule.etag)) == {rule.id: "CPU"}
            alert_id = theirs.fire(rule)
            assert outbox.told(1) == [(FIRING, alert_id)]
