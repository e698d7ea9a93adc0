"""Two tenants do whatever they like, with the same names: each sees exactly what is its own, at any time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from monitors.mesh.times import now_nanos
from monitors.v1 import mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIRING, RESOLVED, Client
from tests.rules.running import Running, running

TITLES = st.sampled_from(["CPU", "Disk", "cpu"])
MONITORS = st.sampled_from(["mon_host", "mon_web"])
CHANNELS = st.sets(st.sampled_from(["ops", "night", "pager"]), max_size=3)
WHO = st.integers(0, 1)


@pytest.fixture(scope="module")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with loop_thread.opened(running(tmp_path_factory.mktemp("two"))) as opened:
        yield opened


@dataclass
class Alert:
    """What is known of an alert."""

    rule_id: str
    episode: int
    is_open: bool = True
    acknowledged: bool = False


@dataclass
class Model:
    """What a tenant has, and nothing else."""

    rules: dict[str, str] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    monitors: set[str] = field(default_factory=lambda: {"mon_host"})
    channels: set[str] = field(default_factory=lambda: {"ops", "night"})
    requests: int = 0

    def request_id(self) -> str:
        """The next one; both tenants use the same."""
        self.requests += 1
        return f"request-{self.requests}"


def machine(stub: RuleServiceStub, service: Running, loop: LoopThread) -> type[RuleBasedStateMachine]:
    """A machine for a service that runs."""

    class TwoTenants(RuleBasedStateMachine):
        made: Any = Bundle("made")
        fired: Any = Bundle("fired")

        def __init__(self) -> None:
            super().__init__()
            self.clients = [Client.of_new_tenant(stub, service.rules, loop) for _ in range(2)]
            self.models = [Model(), Model()]
            self.time = now_nanos()

        @rule(target=made, who=WHO, title=TITLES)
        def create(self, who: int, title: str) -> Any:
            client, model = self.clients[who], self.models[who]
            sent = rule_pb2.Rule(
                monitor_id="mon_host", title=title, condition_text="cpu_percent > 1", cooldown=Duration()
            )
            request = pb.CreateRuleRequest(rule=sent, request_id=model.request_id())
            made = client.call(request).rule
            assert client.call(request).rule.id == made.id
            model.rules[made.id] = title
            return made.id

        @rule(made=made, who=WHO, title=TITLES)
        def rename(self, made: str, who: int, title: str) -> None:
            client, model = self.clients[who], self.models[who]
            request = pb.UpdateRuleRequest(rule=rule_pb2.Rule(id=made, title=title), request_id=model.request_id())
            if made in model.rules:
                client.call(request)
                model.rules[made] = title
            else:
                assert client.refused(request).code == "NOT_FOUND"

        @rule(made=made, who=WHO)
        def delete(self, made: str, who: int) -> None:
            client, model = self.clients[who], self.models[who]
            request = pb.DeleteRuleRequest(rule_id=made, request_id=model.request_id())
            if made not in model.rules:
                assert client.refused(request).code == "NOT_FOUND"
                return
            client.call(request)
            del model.rules[made]
            for alert in model.alerts.values():
                if alert.rule_id == made:
                    alert.is_open = False

        @rule(target=fired, made=made, who=WHO)
        def fire(self, made: str, who: int) -> Any:
            """Also for a rule that the tenant hasn't: an evaluator's mistake makes nothing of another's."""
            client, model = self.clients[who], self.models[who]
            self.time += 1_000
            (result,) = client.record(client.transition(rule_pb2.Rule(id=made), FIRING, self.time))
            if made not in model.rules:
                assert result.outcome != mesh_pb2.TRANSITION_OUTCOME_RECORDED
                return multiple()
            is_open = any(alert.rule_id == made and alert.is_open for alert in model.alerts.values())
            assert result.outcome == (
                mesh_pb2.TRANSITION_OUTCOME_ADOPTED if is_open else mesh_pb2.TRANSITION_OUTCOME_RECORDED
            )
            if not is_open:
                model.alerts[result.alert_id] = Alert(made, self.time)
            return result.alert_id

        @rule(alert_id=fired, who=WHO)
        def end(self, alert_id: str, who: int) -> None:
            client, model = self.clients[who], self.models[who]
            known = self.models[0].alerts.get(alert_id) or self.models[1].alerts[alert_id]
            self.time += 1_000
            sent = client.transition(rule_pb2.Rule(id=known.rule_id), RESOLVED, self.time, episode=known.episode)
            client.record(sent)
            if alert_id in model.alerts:
                model.alerts[alert_id].is_open = False

        @rule(alert_id=fired, who=WHO, note=st.sampled_from(["", "on it"]))
        def acknowledge(self, alert_id: str, who: int, note: str) -> None:
            client, model = self.clients[who], self.models[who]
            request = pb.AcknowledgeAlertsRequest(alert_ids=[alert_id], note=note, request_id=model.request_id())
            if alert_id not in model.alerts:
                assert client.refused(request).code == "NOT_FOUND"
                return
            client.call(request)
            model.alerts[alert_id].acknowledged = True

        @rule(alert_id=consumes(fired), who=WHO)
        def resolve(self, alert_id: str, who: int) -> None:
            client, model = self.clients[who], self.models[who]
            request = pb.ResolveAlertRequest(alert_id=alert_id, request_id=model.request_id())
            if alert_id not in model.alerts:
                assert client.refused(request).code == "NOT_FOUND"
            elif model.alerts[alert_id].is_open:
                client.call(request)
                model.alerts[alert_id].is_open = False
            else:
                assert client.refused(request).code == "FAILED_PRECONDITION"

        @rule(who=WHO, names=CHANNELS)
        def mirror(self, who: int, names: set[str]) -> None:
            self.clients[who].mirror(*((name, False) for name in sorted(names)))
            self.models[who].channels = set(names)

        @rule(who=WHO, monitor=MONITORS)
        def register(self, who: int, monitor: str) -> None:
            model = self.models[who]
            self.clients[who].call(pb.RegisterMonitorRequest(monitor_id=monitor, request_id=model.request_id()))
            model.monitors.add(monitor)

        @invariant()
        def each_sees_its_own(self) -> None:
            for client, model in zip(self.clients, self.models, strict=True):
                rules = client.call(pb.ListRulesRequest())
                assert {each.id: each.title for each in rules.rules} == model.rules
                assert rules.total_count == len(model.rules)
                alerts = client.call(pb.ListAlertsRequest()).alerts
                assert {each.id: each.rule_id for each in alerts} == {
                    name: alert.rule_id for name, alert in model.alerts.items()
                }
                firing = client.call(pb.ListAlertsRequest(filter="state=firing")).alerts
                assert {each.id for each in firing} == {name for name, one in model.alerts.items() if one.is_open}
                taken = client.call(pb.ListAlertsRequest(filter="acknowledged=true")).alerts
                assert {each.id for each in taken} == {name for name, one in model.alerts.items() if one.acknowledged}
                channels = client.call(pb.ListChannelNamesRequest()).channels
                assert {each.name for each in channels} == model.channels
                monitors = client.call(pb.ListMonitorsRequest()).monitors
                assert {each.id for each in monitors} == model.monitors

    return TwoTenants


def test_each_of_two_tenants_sees_exactly_its_own(service: Running, loop_thread: LoopThread) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        two = machine(RuleServiceStub(channel), service, loop_thread)
        run_state_machine_as_test(
            two,
            settings=settings(
                max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
            ),
        )
