"""How the bridge follows RuleService for those who listen: once, only meanwhile, and through what breaks."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import pytest
from mcp import Client

from monitors.bridge import client as bridge_client
from monitors.bridge import push
from monitors.bridge.errors import BridgeError
from monitors.bridge.server import build_server
from monitors.bridge.settings import MeshSettings
from monitors.mesh import interceptors
from tests.bridge.backend import Backend
from tests.bridge.conftest import HttpBridge
from tests.bridge.listening import Listener, client_over, listening
from tests.harness import LoopThread
from tests.processes import wait_for

pytestmark = pytest.mark.process


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_rule_service_is_followed_once_and_only_while_somebody_listens(
    transport: str, backend: Backend, loop_thread: LoopThread
) -> None:
    async def scenario(url: str) -> None:
        async with client_over(transport, url, backend.port, "local-key") as client:
            assert backend.watchers == 0
            async with listening(client), listening(client, "docs://conditions"):
                async with listening(client):
                    assert backend.watchers == 1
                await anyio.lowlevel.checkpoint()
                assert backend.watchers == 1
            with anyio.fail_after(5):
                await backend.unwatched.wait()
            assert len((await client.list_tools()).tools) == 6

    with closing(HttpBridge(MONITORS_SERVER=f"127.0.0.1:{backend.port}")) as bridge:
        loop_thread.run(scenario(bridge.url))


@asynccontextmanager
async def _listening_within(settings: MeshSettings) -> AsyncIterator[Listener]:
    """Listens at a bridge in this process."""
    async with Client(build_server(settings)) as client, listening(client) as listener:
        yield listener


async def _until(condition: Callable[[], bool]) -> None:
    with anyio.fail_after(20):
        while not condition():
            await anyio.lowlevel.checkpoint()


def test_a_connection_that_has_died_silently_is_made_anew(
    backend: Backend, settings: MeshSettings, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_client, "STREAM_SILENCE_SECONDS", 0.2)
    with loop_thread.opened(_listening_within(settings)) as listener:
        listener.told()
        listener.told()
    assert backend.watchers <= 1


def test_listening_ends_when_the_key_does(
    backend: Backend, settings: MeshSettings, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge_client, "STREAM_SILENCE_SECONDS", 0.2)
    with loop_thread.opened(_listening_within(settings)) as listener:
        backend.keys.clear()
        wait_for(listener.ended.is_set, "the graceful end")


def test_a_key_that_a_fresh_mesh_has_written_is_found(
    backend: Backend, tmp_path: Path, loop_thread: LoopThread
) -> None:
    (tmp_path / "key").write_text("old-key")

    async def scenario() -> None:
        settings = MeshSettings(f"127.0.0.1:{backend.port}", key_file=tmp_path / "key")
        async with Client(build_server(settings)) as made:
            (tmp_path / "key").write_text("local-key")
            async with listening(made):
                assert backend.watchers == 1

    loop_thread.run(scenario())


def test_who_signed_in_is_followed_with_one_statement_after_another_and_misses_nothing_in_between(
    backend: Backend, settings: MeshSettings, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(push, "OVERLAP_SECONDS", 0.0)
    stated: list[str] = []

    def vouch() -> str:
        # What was stated before isn't good for a beginning any more.
        backend.keys.clear()
        stated.append(f"statement-{len(stated)}")
        backend.keys.add(stated[-1])
        return stated[-1]

    async def scenario() -> int:
        async with bridge_client.open_mesh(settings) as mesh, anyio.create_task_group() as tasks:
            feed = push.Feed(bridge_client.Caller(mesh, vouch=vouch))
            tasks.start_soon(feed.run)
            await feed.ready()
            fewest = 1
            with anyio.fail_after(20):
                while len(stated) < 6:
                    fewest = min(fewest, backend.watchers)
                    await anyio.lowlevel.checkpoint()
            feed.scope.cancel()
        return fewest

    assert loop_thread.run(scenario()) == 1


@pytest.mark.parametrize("has_begun", [False, True], ids=["before it begins", "after it has begun"])
def test_what_a_stream_that_breaks_beside_its_successor_did_not_tell_is_told(
    has_begun: bool,
    backend: Backend,
    settings: MeshSettings,
    loop_thread: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(push, "RENEW_SECONDS", 0.3)
    monkeypatch.setattr(push, "OVERLAP_SECONDS", 60.0)
    monkeypatch.setattr(bridge_client, "STREAM_SILENCE_SECONDS", 60.0)
    told = anyio.Event()

    async def scenario() -> None:
        async with bridge_client.open_mesh(settings) as mesh, anyio.create_task_group() as tasks:
            feed = push.Feed(bridge_client.Caller(mesh, vouch=lambda: "local-key"))
            feed.bus.subscribe(lambda _: told.set())
            tasks.start_soon(feed.run)
            await feed.ready()
            monkeypatch.setattr(push, "RENEW_SECONDS", 60.0)
            first, backend.ending = backend.ending, asyncio.Event()
            if not has_begun:
                backend.speaking.clear()
            await _until(lambda: backend.watchers > 1)
            both = backend.watchers
            first.set()
            await _until(lambda: backend.watchers < both)
            assert has_begun or not told.is_set()
            backend.speaking.set()
            with anyio.fail_after(20):
                await told.wait()
            feed.scope.cancel()

    loop_thread.run(scenario())


def test_what_changed_while_the_key_was_replaced_is_told(
    backend: Backend, tmp_path: Path, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interceptors, "AGAIN_SECONDS", 0.0)
    told = anyio.Event()

    async def scenario() -> None:
        (tmp_path / "key").write_text("local-key")
        settings = MeshSettings(f"127.0.0.1:{backend.port}", key_file=tmp_path / "key")
        async with bridge_client.open_mesh(settings) as mesh, anyio.create_task_group() as tasks:
            feed = push.Feed(bridge_client.Caller(mesh))
            feed.bus.subscribe(lambda _: told.set())
            tasks.start_soon(feed.run)
            await feed.ready()
            (tmp_path / "key").write_text("new-key")
            backend.keys = {"new-key"}
            first, backend.ending = backend.ending, asyncio.Event()
            first.set()
            with anyio.fail_after(10):
                await told.wait()
            feed.scope.cancel()

    loop_thread.run(scenario())


def test_listening_ends_when_what_is_stated_is_not_believed_any_more(
    backend: Backend, settings: MeshSettings, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "RENEW_SECONDS", 0.1)
    statements = iter(["local-key", "of-another-secret"])

    async def scenario() -> None:
        async with bridge_client.open_mesh(settings) as mesh:
            feed = push.Feed(bridge_client.Caller(mesh, vouch=lambda: next(statements)))
            with anyio.fail_after(20):
                await feed.run()
            with pytest.raises(BridgeError, match="credential"):
                await feed.ready()

    loop_thread.run(scenario())
