"""A plain synchronous client, as an internal team would write it, and what the mesh's services send."""

import itertools
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from monitors.mesh.times import now_nanos
from monitors.rules.main import Rules
from monitors.v1 import alert_pb2, evaluator_service_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.running import SERVICE_TOKEN

SERVICE = (("authorization", f"Bearer {SERVICE_TOKEN}"),)
FIRING, RESOLVED, ACKNOWLEDGED, SNOOZED = (
    alert_pb2.ALERT_EVENT_KIND_FIRING,
    alert_pb2.ALERT_EVENT_KIND_RESOLVED,
    alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED,
    alert_pb2.ALERT_EVENT_KIND_SNOOZED,
)
REPEAT_CHANGED = alert_pb2.ALERT_EVENT_KIND_REPEAT_CHANGED
FLOAT, STRING = monitor_pb2.FIELD_TYPE_FLOAT, monitor_pb2.FIELD_TYPE_STRING
SECOND = 10**9
DEADLINE = 20
FIELDS = [
    ("cpu", "cpu_percent", FLOAT),
    ("mem", "used_percent", FLOAT),
    ("disk", "used_percent", FLOAT),
    ("disk", "path", STRING),
]


@dataclass(frozen=True)
class Refused:
    """How a call failed."""

    code: str
    message: str
    reason: str
    metadata: dict[str, str]


@dataclass
class Client:
    """Calls as one tenant, and as the mesh for that tenant."""

    stub: RuleServiceStub
    tenant: str
    key: str
    rules: Rules
    loop: LoopThread

    @classmethod
    def of_new_tenant(cls, stub: RuleServiceStub, rules: Rules, loop: LoopThread) -> "Client":
        tenant = f"tenant-{secrets.token_hex(6)}"
        client = cls(stub, tenant, loop.run(rules.add_tenant(tenant)), rules, loop)
        client.report("mon_host", FIELDS)
        client.mirror(("ops", True), ("night", False))
        return client

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def call(self, request: Any) -> Any:
        """Calls the method that a request belongs to, as the tenant."""
        method = type(request).__name__.removesuffix("Request")
        return getattr(self.stub, method)(request, metadata=self.metadata, timeout=DEADLINE)

    def mesh(self, request: Any) -> Any:
        """Calls the method that a request belongs to, as a service of the mesh."""
        method = type(request).__name__.removesuffix("Request")
        return getattr(self.stub, method)(request, metadata=SERVICE, timeout=DEADLINE)

    def refused(self, request: Any, as_mesh: bool = False) -> Refused:
        """Calls and expects an error."""
        return refused(lambda: (self.mesh if as_mesh else self.call)(request))

    def report(self, monitor_id: str, fields: Sequence[tuple[str, str, Any]]) -> list[int]:
        series = [
            evaluator_service_pb2.SeriesDefinition(
                key=monitor_pb2.SeriesKey(monitor_id=monitor_id, measurement=measurement, field=name), type=kind
            )
            for measurement, name, kind in fields
        ]
        return list(self.mesh(pb.ReportSeriesRequest(tenant_id=self.tenant, series=series)).types)

    def mirror(
        self, *channels: tuple[str, bool], state: "mesh_pb2.ChannelState.ValueType" = mesh_pb2.CHANNEL_STATE_WORKS
    ) -> None:
        names = [
            mesh_pb2.ChannelName(name=name, kind="webhook", is_default=default, state=state)
            for name, default in channels
        ]
        self.mesh(pb.MirrorChannelsRequest(tenant_id=self.tenant, channels=names))

    def create(self, condition_text: str = "cpu_percent > 90", **fields: Any) -> rule_pb2.Rule:
        rule = rule_pb2.Rule(**{"monitor_id": "mon_host", "title": "CPU", "condition_text": condition_text} | fields)
        made: rule_pb2.Rule = self.call(pb.CreateRuleRequest(rule=rule)).rule
        return made

    def get(self, rule_id: str) -> rule_pb2.Rule:
        found: rule_pb2.Rule = self.call(pb.GetRuleRequest(rule_id=rule_id)).rule
        return found

    def transition(self, rule: rule_pb2.Rule, kind: Any, time: int, **fields: Any) -> mesh_pb2.Transition:
        """A transition at `time`; its episode began then too, unless `episode` says otherwise."""
        given: dict[str, Any] = {"episode": time, "monitor_id": "mon_host", "group": {"cpu": "0"}} | fields
        return mesh_pb2.Transition(tenant_id=self.tenant, rule_id=rule.id, kind=kind, time_nanos=time, **given)

    def record(self, *transitions: mesh_pb2.Transition) -> list[mesh_pb2.TransitionResult]:
        return list(self.mesh(pb.RecordTransitionsRequest(transitions=transitions)).results)

    def fire(self, rule: rule_pb2.Rule, time: int | None = None, **fields: Any) -> str:
        """Lets a rule fire, now unless said otherwise, and returns the alert's id."""
        (result,) = self.record(self.transition(rule, FIRING, now_nanos() if time is None else time, **fields))
        assert result.outcome == mesh_pb2.TRANSITION_OUTCOME_RECORDED
        return result.alert_id

    def alert(self, alert_id: str) -> pb.GetAlertResponse:
        found: pb.GetAlertResponse = self.call(pb.GetAlertRequest(alert_id=alert_id))
        return found

    @contextmanager
    def notifications(self) -> Iterator["Outbox"]:
        """What the notifier gets for this tenant. What belongs to other tenants is taken over along with it."""
        stream = self.stub.LeaseNotifications(
            pb.LeaseNotificationsRequest(notifier_id="test"), metadata=SERVICE, timeout=DEADLINE
        )
        try:
            yield Outbox(self, stream)
        finally:
            stream.cancel()


@dataclass
class Outbox:
    """The notifier's side of the outbox."""

    client: Client
    stream: Any
    repeats: list[Any] = field(default_factory=list)
    """What came of how alerts are told again, beside what people are told."""

    def batches(self) -> Iterator[Any]:
        """Batches with something of the tenant in them; what is others' is acknowledged."""
        for batch in self.stream:
            foreign = [each.id for each in batch.notifications if each.tenant_id != self.client.tenant]
            if foreign:
                self.acknowledge(batch.lease_token, foreign)
            if len(batch.notifications) > len(foreign):
                yield batch

    def acknowledge(self, token: str, ids: Sequence[str]) -> None:
        self.client.mesh(pb.AcknowledgeNotificationsRequest(lease_token=token, notification_ids=ids))

    def take(self, count: int) -> list[Any]:
        """The next of the tenant's notifications that people are told, taken over with what comes along."""
        taken: list[Any] = []
        for batch in self.batches():
            own = [each for each in batch.notifications if each.tenant_id == self.client.tenant]
            self.acknowledge(batch.lease_token, [each.id for each in own])
            taken += [each for each in own if each.kind != REPEAT_CHANGED]
            self.repeats += [each for each in own if each.kind == REPEAT_CHANGED]
            if len(taken) >= count:
                break
        return taken

    def told(self, count: int) -> list[tuple[int, str]]:
        """The next notifications of the tenant as kind and alert."""
        return [(each.kind, each.alert.id) for each in self.take(count)]


def refused(call: Callable[[], Any]) -> Refused:
    """Calls and expects an error."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    status, info = rpc_status.from_call(error), ErrorInfo()
    if status and status.details:
        status.details[0].Unpack(info)
    return Refused(error.code().name, error.details(), info.reason, dict(info.metadata))


def first(stream: Any, count: int, wanted: Callable[[Any], bool]) -> list[Any]:
    """The first messages of a stream that are wanted; ends the stream."""
    found = list(itertools.islice((message for message in stream if wanted(message)), count))
    stream.cancel()
    return found
