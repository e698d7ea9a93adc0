"""Pictures of alerts, as the notifier asks for them: there while the evaluator answers, and none while it doesn't."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from monitors.mesh.times import MINUTE, from_timestamp
from monitors.v1 import evaluator_service_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIELDS, Client
from tests.rules.test_evaluator import Evaluator, with_evaluator

GROUP = {"cpu": "0"}


class Telling(Evaluator):
    """Knows what the CPUs did in the last two minutes of any backtest, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[evaluator_service_pb2.BacktestRequest] = []

    async def Backtest(
        self, request: evaluator_service_pb2.BacktestRequest, context: Any
    ) -> evaluator_service_pb2.BacktestResponse:
        self.asked.append(request)
        end = from_timestamp(request.end_time)
        times = [end - 2 * MINUTE, end - MINUTE]
        curves = [
            evaluator_service_pb2.Curve(monitor_id="mon_host", group={"cpu": cpu}, times=times, values=[3.0, 97.0])
            for cpu in ("0", "1")
        ]
        return evaluator_service_pb2.BacktestResponse(curves=curves)


@pytest.fixture
def evaluator() -> Telling:
    return Telling()  # type: ignore[abstract]


@pytest.fixture(params=[True, False], ids=["there", "away"])
def is_there(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def caller(loop_thread: LoopThread, tmp_path: Path, evaluator: Telling, is_there: bool) -> Iterator[Client]:
    with (
        loop_thread.opened(with_evaluator(tmp_path, evaluator if is_there else None)) as (port, opened),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        client = Client(RuleServiceStub(channel), "local", opened.local_key, opened.rules, loop_thread)
        client.report("mon_host", FIELDS)
        yield client


def make(client: Client) -> rule_pb2.Rule:
    rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU is hot", condition_text="cpu_percent > 90")
    made: rule_pb2.Rule = client.call(pb.CreateRuleRequest(rule=rule)).rule
    return made


def draw(client: Client, alert_id: str, tenant: str = "local", most: int = 0) -> pb.DrawAlertResponse:
    drawn: pb.DrawAlertResponse = client.mesh(pb.DrawAlertRequest(tenant_id=tenant, alert_id=alert_id, max_bytes=most))
    return drawn


def test_an_alert_is_drawn_from_its_own_series_while_the_evaluator_is_there(
    caller: Client, evaluator: Telling, is_there: bool
) -> None:
    alert = caller.fire(make(caller), group=GROUP)
    drawn = draw(caller, alert)
    if not is_there:
        assert (drawn.chart, drawn.description) == (b"", "")
        return
    assert drawn.chart.startswith(b"\x89PNG")
    assert "lowest 3, highest 97, last 97, compared with 90" in drawn.description
    assert 0 < len(draw(caller, alert, most=9_500).chart) <= 9_500
    filters = evaluator.asked[0].rule.condition.comparison.left.input.filters
    assert [(one.tag, one.value) for one in filters] == [("cpu", "0")]
    assert evaluator.asked[0].tenant_id == "local"


def test_an_alert_whose_rule_is_gone_has_no_picture(caller: Client, is_there: bool) -> None:
    rule = make(caller)
    alert = caller.fire(rule, group=GROUP)
    caller.call(pb.DeleteRuleRequest(rule_id=rule.id))
    assert draw(caller, alert).chart == b""


@pytest.mark.parametrize("is_there", [True], ids=["there"])
def test_no_picture_leaves_its_tenant_and_none_is_drawn_for_a_user(caller: Client, is_there: bool) -> None:
    alert = caller.fire(make(caller), group=GROUP)
    request = pb.DrawAlertRequest(tenant_id="another", alert_id=alert)
    assert caller.refused(request, as_mesh=True).code == "NOT_FOUND"
    assert caller.refused(pb.DrawAlertRequest(tenant_id="local", alert_id=alert)).code == "PERMISSION_DENIED"
    assert caller.refused(pb.DrawAlertRequest(alert_id=alert), as_mesh=True).code == "INVALID_ARGUMENT"
    large = pb.DrawAlertRequest(tenant_id="local", alert_id=alert, max_bytes=10_000_000)
    assert "at most 65,536" in caller.refused(large, as_mesh=True).message
