"""People and programs that configure the mesh under load, and what the audit must say about it.

Every change has a request id. It's asked for again, maybe at another replica, until it's answered, and now and then
once more after that.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.v1 import notification_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as notifier_pb
from monitors.v1 import rule_service_pb2 as rules_pb
from tests.canaries import canary
from tests.crash.load import PROBE

Change = tuple[str, str, str]
"""Tenant, method, and the id of what was changed."""
Metadata = Callable[[str], tuple[tuple[str, str], ...]]

CALL_SECONDS = 5
PAUSE_SECONDS = 0.2
SHARE_REPEATED = 0.3
AWAY = (
    grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.INTERNAL,
)  # fmt: skip


class Replicas:
    """The same service at several addresses."""

    def __init__(self, stub: Callable[[grpc.Channel], Any], addresses: Sequence[str], metadata: Metadata) -> None:
        quickly = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 500)]
        self._channels = [grpc.insecure_channel(address, options=quickly) for address in addresses]
        self._stubs = [stub(channel) for channel in self._channels]
        self._metadata = metadata

    def ask(self, tenant: str, request: Any, choice: random.Random) -> Any:
        """The answer of any of them, however often one has to ask. Nothing that is asked for is wrong, so it may be
        refused only if what it's about is gone: that raises AssertionError."""
        while True:
            call = getattr(choice.choice(self._stubs), type(request).__name__.removesuffix("Request"))
            try:
                return call(request, metadata=self._metadata(tenant), timeout=CALL_SECONDS)
            except grpc.RpcError as error:
                if error.code() not in AWAY:
                    name = type(request).__name__
                    raise AssertionError(f"I1: what was acknowledged is gone: {name}: {error.details()}") from error
            threading.Event().wait(0.05)

    def close(self) -> None:
        """Closes all connections."""
        for channel in self._channels:
            channel.close()


@dataclass
class Operators:
    """One of each tenant, who makes, changes and deletes rules and channels and acknowledges alerts."""

    rules: Replicas
    notifiers: Replicas
    tenants: Sequence[str]
    seed: int
    made: Counter[Change] = field(default_factory=Counter)
    """What the audit must tell, each once."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By tenant, what is part of each of its secrets, and nobody may ever see."""
    without_acknowledging: str = ""
    """The tenant whose alerts somebody else acknowledges."""
    _fault: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _numbers: Mapping[str, "count[int]"] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._numbers = {tenant: count() for tenant in self.tenants}
        self.marks = {tenant: canary(tenant) for tenant in self.tenants}

    def start(self) -> None:
        """Begins, or goes on, with a thread for each tenant."""
        self._stop.clear()
        self._threads = [threading.Thread(target=self._run, args=(tenant,), daemon=True) for tenant in self.tenants]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends when what was asked for is answered. Raises what should never have been answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a change was never answered"
        for fault in self._fault:
            raise fault

    def _run(self, tenant: str) -> None:
        try:
            while not self._stop.is_set():
                number = next(self._numbers[tenant])
                choice = random.Random(f"{self.seed}/{tenant}/{number}")
                for step in (self._live_a_rule, self._acknowledge_something, self._live_a_channel):
                    step(tenant, number, choice)
                    self._stop.wait(PAUSE_SECONDS)
        except BaseException as error:
            self._fault.append(error)

    def change(self, tenant: str, request: Any, id_of: Callable[[Any], str], choice: random.Random) -> Any:
        """Has something changed, and notes it."""
        replicas = self.notifiers if type(request).__module__ == notifier_pb.__name__ else self.rules
        request.request_id = f"{choice.getrandbits(64):x}"
        answer = replicas.ask(tenant, request, choice)
        self.made[tenant, type(request).__name__.removesuffix("Request"), id_of(answer)] += 1
        if choice.random() < SHARE_REPEATED:
            again = replicas.ask(tenant, request, choice)
            assert id_of(again) == id_of(answer), f"a repeat has another answer: {again} instead of {answer}"
        return answer

    def _live_a_rule(self, tenant: str, number: int, choice: random.Random) -> None:
        def id_of(answer: Any) -> str:
            return str(answer.rule.id)

        rule = rule_pb2.Rule(monitor_id=PROBE, title=f"rule {number}", condition_text="v > 1000")
        made = self.change(tenant, rules_pb.CreateRuleRequest(rule=rule), id_of, choice).rule
        changed = rules_pb.UpdateRuleRequest(
            rule=rule_pb2.Rule(id=made.id, title=f"rule {number}, changed"), update_mask=FieldMask(paths=["title"])
        )
        self.change(tenant, changed, id_of, choice)
        self.change(tenant, rules_pb.DeleteRuleRequest(rule_id=made.id), lambda _: made.id, choice)

    def _acknowledge_something(self, tenant: str, _: int, choice: random.Random) -> None:
        if tenant == self.without_acknowledging:
            return
        listed = self.rules.ask(tenant, rules_pb.ListAlertsRequest(filter="acknowledged=false", page_size=1), choice)
        if listed.alerts:
            request = rules_pb.AcknowledgeAlertsRequest(alert_ids=[listed.alerts[0].id], note="seen")
            self.change(tenant, request, lambda answer: str(answer.alerts[0].id), choice)

    def _live_a_channel(self, tenant: str, number: int, choice: random.Random) -> None:
        def id_of(answer: Any) -> str:
            return str(answer.channel.id)

        channel = notification_pb2.Channel(name=f"channel-{number}")
        channel.webhook.url = f"http://127.0.0.1:1/{number}?token={self.marks[tenant]}"
        made = self.change(tenant, notifier_pb.CreateChannelRequest(channel=channel), id_of, choice)
        self.change(tenant, notifier_pb.DeleteChannelRequest(channel_id=made.channel.id), id_of, choice)
