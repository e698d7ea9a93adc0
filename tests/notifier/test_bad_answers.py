"""Answers that are meant to hold the notifier up, or come from somebody else."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from monitors.notifier.egress import Egress, NotReached, Unanswered
from tests.certificates import make_certificate
from tests.harness import LoopThread

Answering = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(answer: Answering, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server that answers every connection by `answer`, which may be cut off."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield listening.sockets[0].getsockname()[1]
    listening.close()


def post(loop: LoopThread, url: str, deadline: float = 5.0) -> int:
    async def work() -> int:
        egress = Egress(allow_local=True, deadline=deadline)
        try:
            return (await egress.post(url, b"{}", {})).status
        finally:
            await egress.close()

    return loop.run(work())


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A header that never ends, a byte at a time, so that no single read takes long."""
    writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """More headers than anybody reads."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(10_000):
        writer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))
        await writer.drain()


async def fine(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A plain answer."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()


def test_an_answer_that_drips_is_ended_by_the_deadline_of_the_whole(loop_thread: LoopThread) -> None:
    with loop_thread.opened(server(drip)) as port, pytest.raises(Unanswered):
        post(loop_thread, f"http://127.0.0.1:{port}/", deadline=0.5)


def test_of_headers_without_end_not_all_are_read(loop_thread: LoopThread) -> None:
    with loop_thread.opened(server(bomb)) as port, pytest.raises(Unanswered):
        post(loop_thread, f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.0.2"])
def test_nothing_is_sent_to_a_server_whose_certificate_nobody_vouches_for(
    loop_thread: LoopThread, tmp_path: Path, address: str
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path / "own", address))
    asked: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        await fine(reader, writer)

    with loop_thread.opened(server(listen, context)) as port, pytest.raises(NotReached):
        post(loop_thread, f"https://127.0.0.1:{port}/")
    assert asked in ([], [b""])
