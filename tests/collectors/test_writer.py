"""The writer: in order, compressed, with the key, and patient while the endpoint is away."""

import asyncio
import contextlib
import logging
import queue
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from monitors.collectors.writer import LINES_PER_REQUEST, Writer, log
from tests.collectors.receiver import SECONDS, Receiver, open_receiver
from tests.harness import LoopThread


@asynccontextmanager
async def running(url: str, keep_seconds: float = 600.0) -> AsyncIterator[Writer]:
    """A writer at work."""
    async with aiohttp.ClientSession(trust_env=False) as session:
        writer = Writer(url, "alk_key", session, keep_seconds=keep_seconds)
        task = asyncio.create_task(writer.run())
        try:
            yield writer
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


class Told(logging.Handler):
    """Log messages that a test can wait for."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: queue.Queue[str] = queue.Queue()

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.put(record.getMessage())


@pytest.fixture
def messages() -> Iterator["queue.Queue[str]"]:
    """What the writer logs, as it comes."""
    told = Told()
    log.addHandler(told)
    yield told.messages
    log.removeHandler(told)


async def add(writer: Writer, *lines: str) -> None:
    """Hands lines over on the writer's own loop."""
    writer.add(lines)


def lines_taken(receiver: Receiver, count: int) -> list[str]:
    """The lines of the requests that were taken, until `count` of them are there."""
    lines: list[str] = []
    while len(lines) < count:
        request = receiver.next()
        if request.status == 204:
            lines += request.lines
    return lines


def test_lines_go_compressed_and_with_the_key_to_the_ordinary_endpoint(loop_thread: LoopThread) -> None:
    with loop_thread.opened(open_receiver()) as receiver, loop_thread.opened(running(receiver.url)) as writer:
        loop_thread.run(add(writer, "m x=1 1", "m x=2 2"))
        request = receiver.next()
    assert (request.path, request.query["precision"]) == ("/api/v2/write", "ns")
    assert request.headers["Authorization"] == "Token alk_key"
    assert request.headers["Content-Encoding"] == "gzip"
    assert request.lines == ["m x=1 1", "m x=2 2"]


@pytest.mark.parametrize("status", [500, 503, 401, 429])
def test_what_was_not_taken_is_sent_again_in_order(
    loop_thread: LoopThread, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    with loop_thread.opened(open_receiver(status)) as receiver, loop_thread.opened(running(receiver.url)) as writer:
        loop_thread.run(add(writer, "m x=1 1"))
        assert receiver.next().status == status
        loop_thread.run(add(writer, "m x=2 2"))
        assert lines_taken(receiver, 2) == ["m x=1 1", "m x=2 2"]
    assert f"status {status}" in caplog.text
    assert "alk_key" not in caplog.text


def test_what_is_refused_for_good_is_dropped_with_a_word(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    with loop_thread.opened(open_receiver(400)) as receiver, loop_thread.opened(running(receiver.url)) as writer:
        loop_thread.run(add(writer, "bad line"))
        assert receiver.next().status == 400
        loop_thread.run(add(writer, "m x=2 2"))
        assert lines_taken(receiver, 1) == ["m x=2 2"]
    assert "refused lines (status 400" in caplog.text


def test_what_has_waited_too_long_is_dropped_with_a_word(loop_thread: LoopThread, messages: "queue.Queue[str]") -> None:
    # Shorter than the shortest pause after a failure, so the first line is too old when its turn comes again.
    with (
        loop_thread.opened(open_receiver(500)) as receiver,
        loop_thread.opened(running(receiver.url, keep_seconds=0.4)) as writer,
    ):
        loop_thread.run(add(writer, "m x=1 1"))
        assert receiver.next().status == 500
        assert "status 500" in messages.get(timeout=SECONDS)
        assert "dropped the 1 oldest lines" in messages.get(timeout=SECONDS)
        loop_thread.run(add(writer, "m x=2 2"))
        assert lines_taken(receiver, 1) == ["m x=2 2"]
        assert "works again" in messages.get(timeout=SECONDS)


def test_a_backlog_goes_out_in_bounded_requests(loop_thread: LoopThread) -> None:
    lines = [f"m x={number} {number}" for number in range(LINES_PER_REQUEST + 10)]
    with loop_thread.opened(open_receiver()) as receiver, loop_thread.opened(running(receiver.url)) as writer:

        async def add_all() -> None:
            for start in range(0, len(lines), 10):
                writer.add(lines[start : start + 10])

        loop_thread.run(add_all())
        first, second = receiver.next(), receiver.next()
    assert (len(first.lines), len(second.lines)) == (LINES_PER_REQUEST, 10)
    assert first.lines + second.lines == lines


def test_an_endpoint_that_is_not_there_is_waited_for(loop_thread: LoopThread, messages: "queue.Queue[str]") -> None:
    with loop_thread.opened(running("http://127.0.0.1:1")) as writer:
        loop_thread.run(add(writer, "m x=1 1"))
        assert "can't write" in messages.get(timeout=SECONDS)
        assert writer.waiting_count == 1
