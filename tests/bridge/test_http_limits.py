"""What one client may take of the bridge over HTTP, and by which names it may be called."""

import asyncio
import logging
import socket
from collections.abc import Iterator

import httpx2
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from monitors.bridge import limits
from monitors.bridge.http import build_app, build_http_server, server_config
from monitors.bridge.main import transport_security
from monitors.bridge.oauth.settings import load_oauth_settings
from monitors.bridge.settings import HttpSettings, load_mesh_settings
from tests.bridge.conftest import ERAS, HttpBridge
from tests.bridge.oauth_world import World, open_world, post, served
from tests.harness import LoopThread
from tests.processes import wait_for

HEAD = b"POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with open_world(loop_thread, tmp_path_factory.mktemp("world")) as opened:
        yield opened


@pytest.fixture(scope="module")
def bridge(world: World) -> Iterator[HttpBridge]:
    """A bridge for few clients."""
    running = HttpBridge(**world.environment | {"MONITORS_MCP_MAX_CLIENTS": "4"})
    yield running
    running.close()


def port_of(bridge: HttpBridge) -> int:
    return int(bridge.url.rpartition(":")[2].removesuffix("/mcp"))


@pytest.mark.process
@pytest.mark.parametrize("mode", ERAS)
def test_the_public_name_is_let_in_and_foreign_ones_arent(world: World, bridge: HttpBridge, mode: str) -> None:
    def status(**headers: str) -> int:
        answer = post(bridge.url, mode, Authorization=f"Bearer {world.token()}", **headers)
        if session := answer.headers.get("mcp-session-id"):
            httpx2.delete(bridge.url, headers={"mcp-session-id": session, "Authorization": f"Bearer {world.token()}"})
        return answer.status_code

    assert status() == 200
    assert status(Host="alerts.example.org") == 200
    assert status(Host="alerts.example.org:443", Origin="https://alerts.example.org") == 200
    assert status(Host="evil.example") == 421
    assert status(Origin="https://evil.example") == 403
    assert post(bridge.url, mode, Host="evil.example").status_code == 401


@pytest.mark.process
def test_large_requests_are_refused(world: World, bridge: HttpBridge) -> None:
    headers = {"Authorization": f"Bearer {world.token()}", "Content-Type": "application/json"}
    assert httpx2.post(bridge.url, headers=headers, content=b"x" * (limits.LARGEST_BODY + 1)).status_code == 413
    with socket.create_connection(("127.0.0.1", port_of(bridge)), timeout=20) as endless:
        endless.sendall(HEAD + b"X: " + b"x" * limits.LARGEST_HEAD)
        assert endless.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.process
def test_there_are_only_so_many_connections(world: World, bridge: HttpBridge) -> None:
    held = [socket.create_connection(("127.0.0.1", port_of(bridge))) for _ in range(4)]

    def status() -> int:
        return post(bridge.url, Authorization=f"Bearer {world.token()}").status_code

    wait_for(lambda: status() == 503, "a full house")
    for each in held:
        each.close()
    wait_for(lambda: status() == 200, "room")


@pytest.mark.process
def test_there_are_only_so_many_sessions(world: World, bridge: HttpBridge) -> None:
    authorization = f"Bearer {world.token()}"
    sessions = []
    while (opened := post(bridge.url, "legacy", Authorization=authorization)).status_code == 200:
        sessions.append(opened.headers["mcp-session-id"])
        assert len(sessions) <= 4
    assert (len(sessions), opened.status_code) == (4, 503)
    for session in sessions:
        httpx2.delete(bridge.url, headers={"mcp-session-id": session, "Authorization": authorization})
    assert post(bridge.url, "legacy", Authorization=authorization).status_code == 200


class Brief(limits.ImpatientProtocol):
    patience = 0.2


async def hung_up(port: int, begin: bytes, drip: bytes) -> bool:
    """Whether a client is hung up on that begins a request and then lets it drip."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begin)
    try:
        async with asyncio.timeout(10):
            while not reader.at_eof():
                writer.write(drip)
                await writer.drain()
                try:
                    await asyncio.wait_for(reader.read(10_000), 0.02)
                except TimeoutError:
                    continue
    except ConnectionError:
        pass
    finally:
        writer.close()
    return True


@pytest.mark.parametrize(
    ("begin", "drip"),
    [(b"", b""), (HEAD, b""), (HEAD, b"X: y\r\n"), (HEAD + b"\r\n", b"x"), (HEAD + b"\r\n", b"")],
    ids=["nothing", "half a head", "a head in drops", "a body in drops", "no body"],
)
def test_who_takes_too_long_to_ask_is_hung_up_on(loop_thread: LoopThread, begin: bytes, drip: bytes) -> None:
    async def patient(scope: Scope, receive: Receive, send: Send) -> None:
        while scope["type"] == "http" and (await receive()).get("more_body"):
            pass

    async def scenario() -> bool:
        config = server_config(patient, HttpSettings())
        config.http = Brief
        async with served(config) as port:
            return await hung_up(port, begin, drip)

    assert loop_thread.run(scenario())


def test_who_has_asked_may_wait_for_the_answer(loop_thread: LoopThread) -> None:
    async def scenario() -> str:
        release = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await release.wait()
                await PlainTextResponse("at last")(scope, receive, send)

        config = server_config(slow, HttpSettings())
        config.http = Brief
        async with served(config) as port, httpx2.AsyncClient() as client:
            asked = asyncio.ensure_future(client.post(f"http://127.0.0.1:{port}/", content=b"{}", timeout=20))
            # Whoever comes after has to go before: so much time has passed.
            assert await hung_up(port, HEAD, b"")
            release.set()
            return (await asked).text

    assert loop_thread.run(scenario()) == "at last"


def test_the_token_isnt_in_the_most_talkative_log(
    world: World, loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    http, oauth = HttpSettings(), load_oauth_settings(world.environment)
    assert oauth
    mesh = load_mesh_settings(world.environment)
    bridge = build_http_server(mesh, http, oauth)
    app = build_app(bridge, mesh, http, oauth, transport_security(http, oauth.resource_host))

    async def scenario() -> None:
        async with served(server_config(app, http)) as port:
            for token in (good, f"{good}x", expired):
                await asyncio.to_thread(post, f"http://127.0.0.1:{port}/mcp", Authorization=f"Bearer {token}")

    good, expired = world.token(), world.token(exp=1)
    loop_thread.run(scenario())
    assert "401 invalid_token" in caplog.text
    for part in (*good.split("."), *expired.split("."), oauth.secret):
        assert part not in caplog.text
    assert oauth.secret not in repr(oauth)
