"""Many transitions are decided before their turn comes: whatever happens meanwhile, they are recorded as if they were
decided then."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from monitors.mesh.database import Session
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.service import recording
from monitors.rules.store import transitions as store
from monitors.rules.store.rules import find_enabled
from monitors.rules.store.tables import outbox
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIRING, RESOLVED, Client
from tests.rules.running import running
from tests.tenants import of_all

CHANGED = alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED
LEVELS = [rule_pb2.Level(severity=rule_pb2.SEVERITY_CRITICAL, condition_text="> 95")]
INSTANCES = 3


@pytest.fixture(scope="module")
def alone(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """Of a RuleService on a file, whatever else the tests run on."""
    folder = tmp_path_factory.mktemp("drafts")
    with (
        loop_thread.opened(running(folder, url=f"sqlite:///{folder}/rules.db", poll_seconds=3600)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        yield Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)


class Step(NamedTuple):
    """Something that happens to an instance, or to the rule, at a minute."""

    what: str
    instance: int
    minute: int


KINDS = {"fires": FIRING, "ends": RESOLVED, "gets worse": CHANGED}
transitions = st.builds(
    Step, st.sampled_from(["fires", "fires", "ends", "ends", "gets worse"]), st.integers(0, INSTANCES - 1),
    st.integers(0, 10),
)  # fmt: skip
others = st.builds(
    Step, st.sampled_from(["acknowledged", "resolved by hand", "snoozed", "turned off", "regraded", "elsewhere"]),
    st.integers(0, INSTANCES - 1), st.just(0),
)  # fmt: skip


class Life:
    """A rule and what becomes of it. Half of the minutes are over, none is about to be."""

    def __init__(self, client: Client, now: int) -> None:
        self.client, self.begun = client, now - 330 * SECOND
        self.rule = client.create(cooldown=Duration(seconds=120), levels=LEVELS)
        self.elsewhere = client.create(cooldown=Duration())

    def transition(self, step: Step) -> mesh_pb2.Transition:
        time = self.begun + step.minute * 60 * SECOND
        worse = rule_pb2.SEVERITY_CRITICAL if step.what == "gets worse" else rule_pb2.SEVERITY_UNSPECIFIED
        group = {"cpu": str(step.instance)}
        return self.client.transition(self.rule, KINDS[step.what], time, group=group, severity=worse)

    def record(self, steps: Sequence[Step]) -> list[int]:
        return [result.outcome for result in self.client.record(*map(self.transition, steps))]

    def live(self, steps: Sequence[Step]) -> None:
        """What happens, one after the other."""
        for step in steps:
            self.do(step)

    def do(self, step: Step) -> None:
        match step.what:
            case "acknowledged" | "resolved by hand":
                ids = [each.id for each in self.alerts() if each.group["cpu"] == str(step.instance)]
                firing = [one for one in ids if self.client.alert(one).alert.state == alert_pb2.ALERT_STATE_FIRING]
                if firing and step.what == "acknowledged":
                    self.client.call(pb.AcknowledgeAlertsRequest(alert_ids=firing))
                for alert_id in firing if step.what == "resolved by hand" else ():
                    self.client.call(pb.ResolveAlertRequest(alert_id=alert_id))
            case "snoozed":
                end = Duration(seconds=self.begun // SECOND + 9000)
                self.change("snooze_until_time", snooze_until_time={"seconds": end.seconds})
            case "turned off":
                self.change("enabled", enabled=False)
            case "regraded":
                self.change("levels")
            case "elsewhere":
                self.client.record(self.client.transition(self.elsewhere, FIRING, now_nanos()))
            case _:
                self.record([step])

    def change(self, path: str, **fields: Any) -> None:
        rule = rule_pb2.Rule(id=self.rule.id, **fields)
        self.client.call(pb.UpdateRuleRequest(rule=rule, update_mask=FieldMask(paths=[path])))

    def alerts(self) -> list[alert_pb2.Alert]:
        found = self.client.call(pb.ListAlertsRequest(filter=f"rule_id={self.rule.id}", page_size=100)).alerts
        return sorted(found, key=lambda alert: (alert.group["cpu"], alert.fire_time.ToNanoseconds()))

    def seen(self) -> list[Any]:
        """All that can be known of it, without ids and the times at which it was recorded."""
        return [
            (
                dict(alert.group), alert.fire_time.ToNanoseconds() - self.begun, alert.severity, alert.state,
                alert.resolve_reason, alert.suppress_reason, alert.HasField("acknowledgement"),
                [(event.kind, event.detail) for event in self.client.alert(alert.id).timeline],
            )
            for alert in self.alerts()
        ]  # fmt: skip

    def told(self) -> list[Any]:
        """What waits for the notifier, in its order."""
        return self.client.loop.run(self.client.rules._database.read(of_all(self._waiting)))

    def _waiting(self, session: Session) -> list[Any]:
        of_rule = outbox.c.stream_key.startswith(self.rule.id)
        query = select(outbox.c.kind, outbox.c.state, outbox.c.stream_key).where(of_rule).order_by(outbox.c.sequence)
        streams: dict[str, int] = {}
        rows = session.execute(query).all()
        return [(kind, state, streams.setdefault(stream, len(streams))) for kind, state, stream in rows]


def meanwhile(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Lets something happen between a batch's decision and its turn, however few transitions it has."""
    drafted = recording._drafted

    def interrupted(*args: Any) -> Any:
        draft = drafted(*args)
        patch.undo()
        happens()
        return draft

    patch.setattr(recording, "WORTH_A_THREAD", 1)
    patch.setattr(recording, "_drafted", interrupted)


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(
    st.lists(transitions, max_size=6),
    st.lists(transitions, min_size=1, max_size=5),
    st.lists(st.one_of(transitions, others), min_size=1, max_size=2),
)
def test_a_draft_is_what_would_be_decided_now(
    alone: Client, before: list[Step], batch: list[Step], happening: list[Step]
) -> None:
    now = now_nanos()
    drafted, plain = Life(alone, now), Life(alone, now)
    for life in (drafted, plain):
        life.record(before)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: drafted.live(happening))
        outcomes = drafted.record(batch)
    plain.live(happening)
    assert outcomes == plain.record(batch)
    assert drafted.seen() == plain.seen()
    assert drafted.told() == plain.told()


def test_what_concerns_others_leaves_a_draft_as_it_is(alone: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    life, looks = Life(alone, now_nanos()), list[int]()
    load = store.load_known

    def counted(session: Session, transitions: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        looks.append(len(transitions))
        return load(session, transitions, *args, **kwargs)

    monkeypatch.setattr(recording, "load_known", counted)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: life.do(Step("elsewhere", 0, 0)))
        life.record([Step("fires", 0, 1), Step("fires", 1, 1)])
    # The other one is looked up in its transaction, ours before it and never again.
    assert looks == [2, 1]


def test_rules_are_read_again_only_once_one_was_changed(alone: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    life, read = Life(alone, now_nanos()), list[str]()

    def noted(session: Session, tenant: str, ids: Sequence[str]) -> Any:
        read.extend(ids)
        return find_enabled(session, tenant, ids)

    monkeypatch.setattr(store, "find_enabled", noted)
    monkeypatch.setattr(recording, "WORTH_A_THREAD", 1)
    life.record([Step("fires", 0, 1)])
    life.record([Step("fires", 1, 1)])
    assert read == [life.rule.id]
    life.do(Step("turned off", 0, 0))
    assert life.record([Step("fires", 2, 1)]) == [mesh_pb2.TRANSITION_OUTCOME_IGNORED]
    assert read == [life.rule.id] * 2


def test_a_lease_that_is_lost_meanwhile_undoes_a_draft(alone: Client) -> None:
    life = Life(alone, now_nanos())
    lease = alone.mesh(pb.LeaseShardsRequest(evaluator_id="one", address="a")).leases[0]
    transition = life.transition(Step("fires", 0, 1))
    transition.lease.CopyFrom(lease)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, lambda: alone.loop.run(alone.rules.void_leases()))
        error = alone.refused(pb.RecordTransitionsRequest(transitions=[transition]), as_mesh=True)
    assert (error.reason, life.alerts()) == ("LEASE_LOST", [])
