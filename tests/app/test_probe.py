"""The probe says by its exit code what health says by gRPC."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from monitors.app.probe import main
from monitors.mesh.errors import StorageUnavailable
from monitors.mesh.server import waiting
from tests.harness import LoopThread
from tests.ports import free_port


@asynccontextmanager
async def _waiting_for_a_database(port: int) -> AsyncIterator[int]:
    address = f"127.0.0.1:{port}"
    async with waiting(address, "monitors.v1.RuleService", StorageUnavailable("away"), variable="MONITORS_GRPC_PORT"):
        yield port


def test_a_service_that_waits_is_alive_but_does_not_serve(
    loop_thread: LoopThread, capsys: pytest.CaptureFixture[str]
) -> None:
    with loop_thread.opened(_waiting_for_a_database(free_port())) as port:
        environment = {"MONITORS_GRPC_PORT": str(port)}
        assert main(["alive"], environment) == 0
        assert main(["monitors.v1.RuleService"], environment) == 1
        assert main([], environment) == 1
    assert capsys.readouterr().out.splitlines() == [
        f"127.0.0.1:{port}: SERVING",
        f"127.0.0.1:{port}: NOT_SERVING",
        f"127.0.0.1:{port}: NOT_SERVING",
    ]


def test_where_nobody_listens_nothing_serves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--address", f"127.0.0.1:{free_port()}", "alive"], {}) == 1
    assert "UNAVAILABLE" in capsys.readouterr().err
