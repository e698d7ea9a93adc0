"""`kill -9` at any moment: afterwards every alert is there once and delivered, and none is resolved by itself."""

import random
import threading
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.v1.alert_pb2 import DELIVERY_STATE_DELIVERED
from monitors.v1.notification_pb2 import DELIVERY_OUTCOME_AMBIGUOUS
from monitors.v1.notifier_service_pb2 import ListDeliveriesRequest, ListDeliveriesResponse
from monitors.v1.rule_pb2 import SEVERITY_CRITICAL, Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest
from tests.clients import notifier_service, rule_service
from tests.processes import MeshProcess, Receiver, receiver, wait_for

RULES = 100


def write(mesh: MeshProcess, values: dict[int, float]) -> None:
    lines = "\n".join(f"m,monitor_id=mon{index} v={value} {time.time_ns()}" for index, value in values.items())
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=o&bucket=b",
        data=lines.encode(),
        headers={"Authorization": f"Token {mesh.key}"},
    )
    with urllib.request.urlopen(request, timeout=20):
        return


def make_rules(mesh: MeshProcess, url: str) -> None:
    assert mesh.command("channels", "create", "ops", "--webhook", url).returncode == 0
    rules = [
        Rule(
            monitor_id=f"mon{index}",
            title=f"Rule {index}",
            condition_text="v > 10",
            notify=["ops"],
            severity=SEVERITY_CRITICAL,
            interval=Duration(seconds=1),
        )
        for index in range(RULES)
    ]
    with rule_service(mesh) as rule_stub:
        rule_stub.BatchCreateRules(BatchCreateRulesRequest(rules=rules))


@pytest.mark.process
@pytest.mark.parametrize("seed", range(3))
def test_kill_nine_loses_doubles_and_resolves_nothing(tmp_path: Path, seed: int) -> None:
    choice = random.Random(seed)
    with receiver() as hook:
        mesh = MeshProcess(tmp_path, "--no-host")
        mesh.start()
        write(mesh, dict.fromkeys(range(RULES), 1.0))
        make_rules(mesh, hook.url)
        accepted: set[int] = set()
        for start in range(0, RULES, 20):
            chunk = range(start, start + 20)
            write(mesh, dict.fromkeys(chunk, 50.0))
            accepted.update(chunk)
            # Some points are being evaluated, some recorded, some delivered: each moment is a good one to die at.
            threading.Event().wait(choice.uniform(0, 0.06))
            mesh.kill()
            mesh.start()
        wait_for(
            lambda: (
                {delivery.event["data"]["monitor_id"] for delivery in hook.of_type("alert.firing")}
                == {f"mon{index}" for index in accepted}
            ),
            f"all deliveries (seed {seed})",
            60,
        )
        alerts = mesh.json("alerts", "list", "--limit", "1000")["alerts"]
        assert Counter(alert["monitor"] for alert in alerts) == Counter(f"mon{index}" for index in accepted)
        assert {alert["state"] for alert in alerts} == {"firing"}
        assert not hook.of_type("alert.resolved")
        check_duplicates(mesh, hook)
        assert mesh.stop() == 0


def all_delivered(listed: ListDeliveriesResponse) -> bool:
    return all(delivery.state == DELIVERY_STATE_DELIVERED for delivery in listed.deliveries)


def check_duplicates(mesh: MeshProcess, hook: Receiver) -> None:
    """A message may come once more only for each attempt of it whose answer a kill has cut off."""
    request = ListDeliveriesRequest(include_attempts=True, page_size=1000)
    with notifier_service(mesh) as notifier:
        # What a kill has cut off may have arrived, and be sent once more all the same.
        wait_for(lambda: all_delivered(notifier.ListDeliveries(request)), "the last attempts", 60)
        listed = notifier.ListDeliveries(request)
    copies = Counter(delivery.event["data"]["alert_id"] for delivery in hook.of_type("alert.firing"))
    for delivery in listed.deliveries:
        cut_off = sum(attempt.outcome == DELIVERY_OUTCOME_AMBIGUOUS for attempt in delivery.attempts)
        assert copies[delivery.alert_id] <= 1 + cut_off
    assert len(listed.deliveries) == len(copies)
