"""People and programs who use the mesh all the time, by the clients that it ships, and what went wrong for them."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.cli.client import Mesh, new_request_id
from monitors.cli.watch import changes
from monitors.v1 import evaluator_service_pb2 as evaluator_pb
from monitors.v1 import monitor_pb2, notification_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as notifier_pb
from monitors.v1 import rule_service_pb2 as rules_pb
from tests.bridge.raw import http_call

PAUSE_SECONDS = 0.05
WRITE_SECONDS = 15
WRITE_TRIES = 2


@dataclass(frozen=True)
class Failed:
    """A call that failed for whoever made it."""

    time: float
    who: str
    why: str


@dataclass
class Callers:
    """Each in a thread of its own, with a short pause between two things."""

    rules: Mesh
    evaluator: Mesh
    notifier: Mesh
    bridge: str
    """The URL of MCP."""
    key: str
    monitor: str
    """On which rules are made."""
    failed: list[Failed] = field(default_factory=list)
    done: Counter[str] = field(default_factory=Counter)
    """How often who was answered."""
    longest: dict[str, float] = field(default_factory=dict)
    """Seconds."""
    seen: set[str] = field(default_factory=set)
    """The alerts that somebody who watches was shown."""
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Lets everybody begin."""
        works = (
            self.read_alerts, self.live_a_rule, self.ask_the_evaluator, self.live_a_channel, self.read_series,
            self.write_samples, self.talk_to_claude, self.list_by_claude,
        )  # fmt: skip
        self._threads = [threading.Thread(target=self._repeat, args=(work,), daemon=True) for work in works]
        for thread in (*self._threads, threading.Thread(target=self._watch, daemon=True)):
            thread.start()

    def stop(self) -> None:
        """Ends when everybody has finished what they are at. Who watches goes on."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a call was never answered"

    def _repeat(self, work: Callable[[int], None]) -> None:
        for number in itertools.count():
            if self._stop.wait(PAUSE_SECONDS):
                return
            begun = time.monotonic()
            try:
                work(number)
            except Exception as error:
                self.failed.append(Failed(time.time(), work.__name__, f"{type(error).__name__}: {error}"))
            else:
                self.done[work.__name__] += 1
            self.longest[work.__name__] = max(self.longest.get(work.__name__, 0.0), time.monotonic() - begun)

    def _watch(self) -> None:
        try:
            for change in changes(self.rules):
                self.seen.add(change.alert.id)
        except Exception as error:
            if not self._stop.is_set():
                self.failed.append(Failed(time.time(), "watch", str(error)))

    # --- through the command's client ---

    def read_alerts(self, _: int) -> None:
        self.rules.call(self.rules.rules.ListAlerts, rules_pb.ListAlertsRequest(page_size=3))

    def live_a_rule(self, number: int) -> None:
        call, stub = self.rules.call, self.rules.rules
        rule = rule_pb2.Rule(monitor_id=self.monitor, title=f"rule {number}", condition_text="v > 1000")
        creation = rules_pb.CreateRuleRequest(rule=rule, request_id=new_request_id())
        made = call(stub.CreateRule, creation).rule
        renamed = rule_pb2.Rule(id=made.id, title=f"rule {number}, changed")
        change = rules_pb.UpdateRuleRequest(
            rule=renamed, update_mask=FieldMask(paths=["title"]), request_id=new_request_id()
        )
        call(stub.UpdateRule, change)
        call(stub.DeleteRule, rules_pb.DeleteRuleRequest(rule_id=made.id, request_id=new_request_id()))

    def ask_the_evaluator(self, _: int) -> None:
        rule = rule_pb2.Rule(monitor_id=self.monitor, title="tried", condition_text="v > 1000")
        self.rules.call(self.rules.rules.PreviewRule, rules_pb.PreviewRuleRequest(rule=rule))

    def live_a_channel(self, number: int) -> None:
        call, stub = self.notifier.call, self.notifier.notifier
        channel = notification_pb2.Channel(name=f"channel-{number}")
        channel.webhook.url = f"http://127.0.0.1:1/{number}"
        creation = notifier_pb.CreateChannelRequest(channel=channel, request_id=new_request_id())
        made = call(stub.CreateChannel, creation).channel
        call(stub.ListChannels, notifier_pb.ListChannelsRequest())
        call(stub.DeleteChannel, notifier_pb.DeleteChannelRequest(channel_id=made.id, request_id=new_request_id()))

    def read_series(self, _: int) -> None:
        request = evaluator_pb.ListSeriesRequest(monitor_ids=[self.monitor])
        self.evaluator.call(self.evaluator.evaluator.ListSeries, request)

    def write_samples(self, _: int) -> None:
        stub, metadata = self.evaluator.evaluator, self.evaluator.metadata
        written = columns("columns", (1.0, 2.0))
        for tries_left in reversed(range(WRITE_TRIES)):
            try:
                answer = stub.WriteSamples(iter([written]), metadata=metadata, timeout=WRITE_SECONDS)
            except grpc.RpcError as error:
                # gRPC repeats no stream for its writer, so the contract asks the writer to.
                if error.code() is not grpc.StatusCode.UNAVAILABLE or not tries_left:
                    raise
            else:
                assert answer.accepted_count == 2, answer
                return

    # --- through the bridge ---

    def talk_to_claude(self, number: int) -> None:
        title = f"claude {number}"
        made = self._tool("create_alert_rule", {"monitor": self.monitor, "title": title, "condition": "v > 2000"})
        rule = made["rule"]["id"]
        self._tool("update_alert_rule", {"rule_id": rule, "severity": "low"})
        listed = self._tool("list_alerts", {"state": "unacknowledged", "limit": 1})
        for alert in listed["alerts"]:
            self._tool("acknowledge_alert", {"alert_id": [alert["id"]], "note": "seen"})
        self._tool("delete_alert_rule", {"rule_id": rule, "confirm_title": title})

    def list_by_claude(self, _: int) -> None:
        self._tool("list_alert_rules", {"limit": 2})

    def _tool(self, tool: str, arguments: dict[str, Any]) -> Any:
        answer = http_call(self.bridge, tool, json.dumps(arguments), key=self.key)
        assert not answer.get("isError"), answer["content"][0]["text"]
        return answer["structuredContent"]


def columns(monitor: str, values: Sequence[float]) -> evaluator_pb.WriteSamplesRequest:
    """Samples of one series, as of now."""
    key = monitor_pb2.SeriesKey(monitor_id=monitor, measurement="columns", field="x")
    return evaluator_pb.WriteSamplesRequest(
        series=[evaluator_pb.SeriesDefinition(key=key, type=monitor_pb2.FIELD_TYPE_FLOAT)],
        series_indexes=np.zeros(len(values), "<u4").tobytes(),
        times=(time.time_ns() + np.arange(len(values)) * 1_000).astype("<i8").tobytes(),
        values=np.array(values, "<f8").tobytes(),
    )
