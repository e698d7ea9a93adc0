"""The mirror of channels' names."""

import asyncio
from pathlib import Path

import grpc
import pytest

from monitors.mesh.database import Database
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import Sealer
from monitors.notifier.mirror import Mirror
from monitors.notifier.store.channels import ChannelStore
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.servers.backends import database_url


@pytest.mark.parametrize("ticks", range(5))
def test_it_ends_however_soon_after_a_change_it_is_told_to(loop_thread: LoopThread, tmp_path: Path, ticks: int) -> None:
    database = Database(
        database_url(tmp_path / "n.db", "notifier"), name="n", migrations="monitors.notifier.migrations"
    )
    database.upgrade()

    async def work() -> bool:
        async with grpc.aio.insecure_channel(f"unix:{tmp_path / 'nobody.sock'}") as channel:
            mirror = Mirror(database, ChannelStore(Sealer(key_ring((), tmp_path / "key"))), RuleServiceStub(channel))
            running = asyncio.create_task(mirror.run())
            for _ in range(3):
                await asyncio.sleep(0)
            mirror.look()
            for _ in range(ticks):
                await asyncio.sleep(0)
            running.cancel()
            ended, _ = await asyncio.wait([running], timeout=10)
            return running in ended

    try:
        assert loop_thread.run(work())
    finally:
        database.close()
