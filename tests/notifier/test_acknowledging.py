"""What was taken over is acknowledged together, and until RuleService has heard it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from monitors.mesh.channels import AWAY, open_channel
from monitors.notifier.acknowledging import Acknowledger
from monitors.v1.rule_service_pb2 import AcknowledgeNotificationsRequest, AcknowledgeNotificationsResponse
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, RuleServiceStub, add_RuleServiceServicer_to_server
from tests.harness import LoopThread
from tests.notifier.world import Record


class Rules(RuleServiceServicer):
    """Answers acknowledgements with the codes of its script, then takes them."""

    def __init__(self, *codes: grpc.StatusCode) -> None:
        self.codes = list(codes)
        self.asked: Record[tuple[str, list[str]]] = Record()

    async def AcknowledgeNotifications(
        self, request: AcknowledgeNotificationsRequest, context: Any
    ) -> AcknowledgeNotificationsResponse:
        self.asked.add((request.lease_token, list(request.notification_ids)))
        if self.codes:
            await context.abort(self.codes.pop(0), "not now")
        return AcknowledgeNotificationsResponse()


def answering(*codes: grpc.StatusCode) -> Rules:
    return Rules(*codes)  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED


@contextmanager
def acknowledging_to(
    loop: LoopThread, folder: Path, rules: Rules, taken: list[tuple[str, list[str]]]
) -> Iterator[Callable[[str, list[str]], None]]:
    """An acknowledger that begins with what was taken; gives what adds more."""

    async def begin() -> Any:
        server = grpc.aio.server()
        add_RuleServiceServicer_to_server(rules, server)
        server.add_insecure_port(f"unix:{folder / 'rules.sock'}")
        await server.start()
        channel = open_channel(f"unix:{folder / 'rules.sock'}", "mesh")
        acknowledger = Acknowledger(RuleServiceStub(channel))
        for token, ids in taken:
            acknowledger.add(token, ids)
        return server, channel, acknowledger, asyncio.create_task(acknowledger.run())

    async def add(token: str, ids: list[str]) -> None:
        acknowledger.add(token, ids)

    async def end() -> None:
        running.cancel()
        await channel.close()
        await server.stop(None)

    server, channel, acknowledger, running = loop.run(begin())
    try:
        yield lambda token, ids: loop.run(add(token, ids))
    finally:
        loop.run(end())


def test_what_was_taken_over_under_a_lease_is_acknowledged_in_one_call(loop_thread: LoopThread, tmp_path: Path) -> None:
    rules = answering()
    taken = [("lease_a", ["note_1"]), ("lease_b", ["note_2"]), ("lease_a", ["note_3", "note_4"])]
    with acknowledging_to(loop_thread, tmp_path, rules, taken):
        asked = rules.asked.wait_for_count(2)
    assert asked == [("lease_a", ["note_1", "note_3", "note_4"]), ("lease_b", ["note_2"])]


@pytest.mark.parametrize("code", AWAY)
def test_while_nobody_hears_it_it_is_said_again(loop_thread: LoopThread, tmp_path: Path, code: grpc.StatusCode) -> None:
    rules = answering(code, code)
    with acknowledging_to(loop_thread, tmp_path, rules, [("lease_a", ["note_1"])]):
        assert rules.asked.wait_for_count(3) == [("lease_a", ["note_1"])] * 3


def test_what_is_refused_holds_up_nothing_else(loop_thread: LoopThread, tmp_path: Path) -> None:
    rules = answering(grpc.StatusCode.INVALID_ARGUMENT)
    with acknowledging_to(loop_thread, tmp_path, rules, [("lease_a", ["note_1"]), ("lease_b", ["note_2"])]) as add:
        assert rules.asked.wait_for_count(2) == [("lease_a", ["note_1"]), ("lease_b", ["note_2"])]
        add("lease_c", ["note_3"])
        assert rules.asked.wait_for_count(3)[2] == ("lease_c", ["note_3"])
