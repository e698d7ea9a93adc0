"""The whole mesh with two tenants who have everything that one can have, each with strings that nobody else has."""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from monitors.app.home import held_home
from monitors.app.mesh import Mesh, open_mesh
from monitors.mesh.config import load_settings
from monitors.mesh.quotas import UNLIMITED
from monitors.mesh.times import HOUR, now_nanos, to_timestamp
from monitors.v1 import evaluator_service_pb2 as evaluator
from monitors.v1 import notification_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as notifier
from monitors.v1 import rule_service_pb2 as rules
from tests.harness import LoopThread
from tests.notifier.world import Receiver
from tests.processes import wait_for
from tests.servers.backends import database_url

SERVICES = [
    file.DESCRIPTOR.services_by_name[name]
    for file, name in (
        (rules, "RuleService"),
        (evaluator, "EvaluatorService"),
        (notifier, "NotifierService"),
    )
]
METHODS = {method.name: method for service in SERVICES for method in service.methods}
DEADLINE = 20


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


@dataclass(frozen=True)
class Outcome:
    """All that a caller gets to see of a call."""

    code: str
    details: str
    metadata: tuple[tuple[str, bytes], ...]
    responses: tuple[Message, ...]


@dataclass
class Tenant:
    """Somebody with a key. `canary` is in each of their strings; `ids` are what the mesh gave to what they have."""

    name: str
    canary: str
    key: str
    channel: grpc.Channel = field(repr=False)
    http: str
    loop: LoopThread = field(repr=False)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def monitor(self) -> str:
        return f"mon_{self.canary}"

    @property
    def credential(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def call(self, name: str, request: Message, most: int = 1_000) -> Outcome:
        """Calls a method and takes everything that comes back; of a stream at most some messages."""
        method = METHODS[name]
        arity = ("stream" if method.client_streaming else "unary", "stream" if method.server_streaming else "unary")
        stub = getattr(self.channel, "_".join(arity))(
            path_of(method),
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        sent = iter([request]) if method.client_streaming else request
        responses: list[Message] = []
        try:
            if method.server_streaming:
                call = stub(sent, metadata=self.credential, timeout=DEADLINE)
                for message in call:
                    responses.append(message)
                    if len(responses) >= most:
                        call.cancel()
                        return Outcome("OK", "", (), tuple(responses))
            else:
                response, call = stub.with_call(sent, metadata=self.credential, timeout=DEADLINE)
                responses.append(response)
        except grpc.RpcError as raised:
            call = raised
        metadata = (*(call.initial_metadata() or ()), *(call.trailing_metadata() or ()))
        seen = tuple((key, value if isinstance(value, bytes) else value.encode()) for key, value in metadata)
        return Outcome(call.code().name, call.details() or "", seen, tuple(responses))

    def get(self, name: str, request: Message) -> Any:
        """The one answer of a call that must succeed."""
        outcome = self.call(name, request)
        assert outcome.code == "OK", (name, outcome.details)
        return outcome.responses[0]

    def push(self, *lines: str) -> tuple[int, str]:
        """Pushes line protocol; the status and what is said."""

        async def post() -> tuple[int, str]:
            async with (
                aiohttp.ClientSession(headers={"Authorization": f"Token {self.key}"}) as session,
                session.post(f"{self.http}/api/v2/write", data="\n".join(lines)) as answer,
            ):
                return answer.status, await answer.text()

        return self.loop.run(post())

    def point(self, value: float, monitor: str = "", time: int | None = None) -> str:
        c = self.canary
        return (
            f"meas_{c},monitor_id={monitor or self.monitor},tag_{c}=value_{c} field_{c}={value} "
            f"{now_nanos() if time is None else time}"
        )


@dataclass(frozen=True)
class World:
    """Two tenants; `a` looks around, `b` has something to lose."""

    mesh: Mesh
    a: Tenant
    b: Tenant
    console: list[str]
    receiver: Receiver


@asynccontextmanager
async def _opened(home: Path) -> AsyncIterator[tuple[Mesh, list[str], Receiver, dict[str, str]]]:
    free = {"MONITORS_GRPC_PORT": "0", "MONITORS_HTTP_PORT": "0", "MONITORS_CHANNEL_PAGE_PORT": "0"}
    settings = load_settings({"MONITORS_HOME": str(home), **free})
    settings = dataclasses.replace(
        settings,
        rules=dataclasses.replace(settings.rules, database_url=database_url(home / "rules.db")),
        notifier=dataclasses.replace(settings.notifier, database_url=database_url(home / "notifier.db", "notifier")),
    )
    console: list[str] = []
    closing = asyncio.Event()
    receiver = Receiver()
    with held_home(settings.home):
        async with receiver.listening(), open_mesh(settings, closing, console.append) as mesh:
            await mesh.evaluator.ready.wait()
            keys = {name: await mesh.rules.add_tenant(name, UNLIMITED) for name in ("tenant-a", "tenant-b")}
            yield mesh, console, receiver, keys


@contextmanager
def open_world(loop: LoopThread, home: Path) -> Iterator[World]:
    """Two tenants on one mesh, who have everything."""
    with loop.opened(_opened(home)) as (mesh, console, receiver, keys):
        tenants = []
        # Of digits that no other has: no name is more like those of the one than like those of the other.
        for (name, key), digits in zip(keys.items(), ("012", "345"), strict=True):
            channel = grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}")
            canary = "c" + "".join(secrets.choice(digits) for _ in range(16))
            http = f"http://127.0.0.1:{mesh.http_port}"
            tenants.append(Tenant(name, canary, key, channel, http, loop))
        a, b = tenants
        for tenant in tenants:
            furnish(tenant, receiver.url)
        yield World(mesh, a, b, console, receiver)
        for tenant in tenants:
            tenant.channel.close()


def furnish(tenant: Tenant, hook: str) -> None:
    """Lets a tenant have monitors, channels, rules, alerts, deliveries and keys."""
    c = tenant.canary
    assert tenant.push(tenant.point(5.0), tenant.point(0.0, f"{tenant.monitor}_2")) == (204, "")
    _all_of(tenant, "ListMonitors", rules.ListMonitorsRequest(), "monitors", 2)
    second = notification_pb2.Channel(name=f"second-{c}", console=notification_pb2.ConsoleChannel())
    tenant.get("CreateChannel", notifier.CreateChannelRequest(channel=second))
    webhook = notification_pb2.WebhookChannel(url=f"{hook}/{c}")
    sent = notification_pb2.Channel(name=f"ops-{c}", webhook=webhook, is_default=True)
    made = tenant.get("CreateChannel", notifier.CreateChannelRequest(channel=sent, request_id=f"chan-{c}"))
    tenant.ids |= {"channel": made.channel.id, "channel_etag": made.channel.etag, "secret": made.webhook_secret}
    for number in range(3):
        rule = rule_pb2.Rule(
            monitor_id=tenant.monitor,
            title=f"title {c} {number}",
            condition_text=f"field_{c} > {number}",
            labels={f"label_{c}": f"value_{c}"},
            annotations={"summary": f"summary {c}"},
            key=f"key-{c}-{number}",
            notify=[f"ops-{c}"],
        )
        request = rules.CreateRuleRequest(rule=rule, request_id=f"rule-{c}-{number}")
        created = tenant.get("CreateRule", request).rule
        tenant.ids |= {f"rule{number}": created.id, f"rule{number}_etag": created.etag}
    for number in range(2):
        silence = notification_pb2.Silence(
            matchers=[_matcher(f"label_{c}", f"silent_{c}")],
            end_time=to_timestamp(now_nanos() + HOUR),
            comment=f"comment {c} {number}",
        )
        silenced = notifier.CreateSilenceRequest(silence=silence, request_id=f"sil-{c}-{number}")
        made_silence = tenant.get("CreateSilence", silenced).silence
        tenant.ids |= {"silence": made_silence.id, "silence_etag": made_silence.etag}
    for number in range(2):
        timing = notification_pb2.MuteTiming(
            name=f"timing {c} {number}",
            matchers=[_matcher(f"label_{c}", f"silent_{c}")],
            windows=[notification_pb2.TimeWindow(years=["2199"])],
        )
        request_of_timing = notifier.CreateMuteTimingRequest(mute_timing=timing, request_id=f"mute-{c}-{number}")
        made_timing = tenant.get("CreateMuteTiming", request_of_timing).mute_timing
        tenant.ids |= {"timing": made_timing.id, "timing_etag": made_timing.etag}
    for number in range(2):
        route = notification_pb2.Route(
            name=f"route {c} {number}",
            matchers=[_matcher(f"label_{c}", f"silent_{c}")],
            channels=[f"ops-{c}"],
        )
        request_of_route = notifier.CreateRouteRequest(route=route, request_id=f"route-{c}-{number}")
        made_route = tenant.get("CreateRoute", request_of_route).route
        tenant.ids |= {"route": made_route.id, "route_etag": made_route.etag}
    for number in range(2):
        policy = notification_pb2.EscalationPolicy(
            name=f"policy {c} {number}",
            matchers=[_matcher(f"label_{c}", f"silent_{c}")],
            steps=[notification_pb2.EscalationStep(after=Duration(seconds=60), channels=[f"ops-{c}"])],
        )
        request_of_policy = notifier.CreateEscalationPolicyRequest(
            escalation_policy=policy, request_id=f"esc-{c}-{number}"
        )
        made_policy = tenant.get("CreateEscalationPolicy", request_of_policy).escalation_policy
        tenant.ids |= {"policy": made_policy.id, "policy_etag": made_policy.etag}
    for number in range(2):
        inhibition = notification_pb2.Inhibition(
            name=f"inhibition {c} {number}",
            source_matchers=[_matcher(f"label_{c}", f"silent_{c}")],
            target_matchers=[_matcher(f"label_{c}", f"silent_{c}")],
        )
        inhibiting = notifier.CreateInhibitionRequest(inhibition=inhibition, request_id=f"inh-{c}-{number}")
        made_inhibition = tenant.get("CreateInhibition", inhibiting).inhibition
        tenant.ids |= {"inhibition": made_inhibition.id, "inhibition_etag": made_inhibition.etag}
    key = tenant.get("CreateKey", rules.CreateKeyRequest(title=f"key of {c}", scopes=["rules:read"]))
    tenant.ids |= {"key": key.key_id, "key_text": key.key}
    assert tenant.push(tenant.point(7.0)) == (204, "")
    alerts = _all_of(tenant, "ListAlerts", rules.ListAlertsRequest(), "alerts", 3)
    tenant.ids |= {f"alert{number}": alert.id for number, alert in enumerate(alerts)}
    acknowledge = rules.AcknowledgeAlertsRequest(alert_ids=[alerts[2].id], note=f"note {c}", request_id=f"ack-{c}")
    tenant.get("AcknowledgeAlerts", acknowledge)
    deliveries = _all_of(tenant, "ListDeliveries", notifier.ListDeliveriesRequest(), "deliveries", 3)
    tenant.ids |= {"delivery": deliveries[0].id, "notification": deliveries[0].notification_id}


def _matcher(name: str, value: str) -> notification_pb2.Matcher:
    return notification_pb2.Matcher(name=name, operator=notification_pb2.MATCH_OPERATOR_EQUAL, value=value)


def _all_of(tenant: Tenant, name: str, request: Message, field_name: str, count: int) -> Sequence[Any]:
    found: list[Any] = []

    def are_there() -> bool:
        found[:] = getattr(tenant.get(name, request), field_name)
        return len(found) >= count

    wait_for(are_there, f"{count} {field_name}")
    return found
