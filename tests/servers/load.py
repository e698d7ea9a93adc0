"""People and an evaluator who go on while a database fails, and what they were told."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from monitors.mesh.times import now_nanos
from monitors.v1 import mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.rules.client import FIRING, Client

PAUSE_SECONDS = 0.02
DEADLINE_SECONDS = 60


@dataclass
class Load:
    """Calls that are repeated until they're answered, as the contract says; `told` are the errors meanwhile."""

    client: Client
    made: list[str] = field(default_factory=list)
    """Titles of rules whose making was answered."""
    recorded: list[int] = field(default_factory=list)
    """Episodes whose beginning was answered."""
    told: list[grpc.RpcError] = field(default_factory=list)

    def make_rule(self, number: int, over: threading.Event) -> None:
        title = f"Rule {number}"
        rule = rule_pb2.Rule(monitor_id="mon_host", title=title, condition_text="cpu_percent > 90")
        request = pb.CreateRuleRequest(rule=rule, request_id=f"request-{number}")
        self._repeat(lambda: self.client.call(request), over)
        self.made.append(title)

    def record(self, number: int, rule: rule_pb2.Rule, over: threading.Event) -> None:
        transition = self.client.transition(rule, FIRING, now_nanos(), group={"n": str(number)})
        request = pb.RecordTransitionsRequest(transitions=[transition])
        (result,) = self._repeat(lambda: self.client.mesh(request), over).results
        assert result.outcome in (mesh_pb2.TRANSITION_OUTCOME_RECORDED, mesh_pb2.TRANSITION_OUTCOME_REPEATED)
        self.recorded.append(transition.episode)

    def _repeat(self, call: Callable[[], Any], over: threading.Event) -> Any:
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                self.told.append(error)
                if over.wait(PAUSE_SECONDS):
                    raise

    def check(self) -> None:
        """What was answered is there once, and whoever was refused was told when to try again."""
        listed = self.client.call(pb.ListRulesRequest(page_size=1000)).rules
        titles = [rule.title for rule in listed if rule.title.startswith("Rule ")]
        assert sorted(titles) == sorted(self.made)
        alerts = self.client.call(pb.ListAlertsRequest(page_size=1000)).alerts
        assert sorted(alert.active_time.ToNanoseconds() for alert in alerts) == sorted(self.recorded)
        for error in self.told:
            check_says_when_to_try_again(error)


def check_says_when_to_try_again(error: grpc.RpcError) -> None:
    """It's UNAVAILABLE with RetryInfo, and names neither password nor statement."""
    told: Any = error
    assert told.code() is grpc.StatusCode.UNAVAILABLE, told
    status = rpc_status.from_call(told)
    retry = RetryInfo()
    assert status is not None
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds > 0
    for word in ("pymysql", "n0t-a-secret", "INSERT", "Traceback"):
        assert word not in told.details()


@contextmanager
def going_on(client: Client) -> Iterator[Load]:
    """Two people who make rules and an evaluator that records alerts, one after the other, for as long as this lasts;
    then what they are at is finished."""
    load, rule = Load(client), client.create(title="Recorded")
    enough, over, numbers, errors = threading.Event(), threading.Event(), itertools.count(), []

    def run(work: Callable[[int], None]) -> None:
        try:
            while not enough.is_set():
                work(next(numbers))
        except BaseException as error:
            errors.append(error)

    works = [*[lambda number: load.make_rule(number, over)] * 2, lambda number: load.record(number, rule, over)]
    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield load
    finally:
        enough.set()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
        over.set()
        for thread in threads:
            thread.join(DEADLINE_SECONDS)
    if errors:
        raise errors[0]
    assert not any(thread.is_alive() for thread in threads)
