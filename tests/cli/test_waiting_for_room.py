"""A command that makes many changes waits for its turn, as the mesh asks it to."""

from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from monitors.cli.client import Mesh, Target
from monitors.cli.failures import Failure
from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule
from tests.harness import LoopThread
from tests.rules.running import Running, running

RATE = 20


@pytest.fixture
def service(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Running]:
    quotas = Tiers(changed_quotas([f"free.requests={RATE}", "free.rules=1"]), default="free")
    with loop_thread.opened(running(tmp_path, quotas=quotas)) as opened:
        yield opened


def test_a_batch_that_comes_when_the_requests_are_used_up_waits_and_is_made(
    service: Running, loop_thread: LoopThread
) -> None:
    key = loop_thread.run(service.rules.add_tenant("acme"))
    address = f"127.0.0.1:{service.port}"
    change = pb.RuleChange(create=pb.CreateRuleRequest(rule=Rule(title="x", monitor_id="m", condition_text="cpu > 1")))
    batch = pb.BatchChangeRulesRequest(changes=[change] * RATE * 10, validate_only=True)
    with grpc.insecure_channel(address) as channel:
        mesh = Mesh(channel, Target(address, key))
        for _ in range(2):
            assert len(mesh.call(mesh.rules.BatchChangeRules, batch).results) == RATE * 10
        # What will be there only in an hour isn't waited for.
        with pytest.raises(Failure):
            mesh.call(mesh.rules.GetRule, pb.GetRuleRequest(rule_id="rule_000000000000"))
