"""Answers of endpoints, however they come: in pieces, with or without an end, or as something else altogether."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.notifier.connection import MAX_BODY, MAX_HEAD, Answer, Connection
from monitors.notifier.egress import Egress, NotReached, Unanswered
from tests.certificates import make_certificate
from tests.harness import LoopThread

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"
WAITING = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
THROTTLED = b"HTTP/1.1 429 Slow down\r\nretry-AFTER: 7\r\nContent-Length: 0\r\n\r\n"
UNTIL_CLOSED = b"HTTP/1.0 500 Oh\r\n\r\nbroken"
FAR_OFF = 1e12
CUT_OFF = b"HTTP/1.1 503 Away\r\nContent-Length: 99\r\n\r\nonly th"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Wire(asyncio.Transport):
    """The other side of a connection without a network."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def write(self, data: Any) -> None:
        assert data

    def abort(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed


Told = tuple[int, str, bytes]
"""Of an answer: the status, after how long to try again, and the body."""


def answered(pieces: Sequence[bytes], *, is_closed: bool = False) -> tuple[Told | None, bool, bool]:
    """The answer, whether it ended, and whether another request may follow."""

    async def work() -> tuple[Told | None, bool, bool]:
        connection = Connection()
        connection.connection_made(Wire())
        exchange = asyncio.create_task(connection.exchange(b"POST / HTTP/1.1\r\n\r\n", FAR_OFF))
        await asyncio.sleep(0)
        for piece in pieces:
            connection.data_received(piece)
        if is_closed:
            connection.connection_lost(None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        has_ended = exchange.done()
        exchange.cancel()
        answer = connection.answer
        told = (answer.status, answer.retry_after, answer.body) if answer else None
        return told, has_ended, connection.is_usable

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (OK, (200, "", b"ok")),
        (CHUNKED, (200, "", b"ok")),
        (WAITING + OK, (200, "", b"ok")),
        (THROTTLED, (429, "7", b"")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, "", b"")),
    ],
)
@given(cuts=st.lists(st.integers(0, 200), max_size=5))
def test_an_answer_is_the_same_in_however_many_pieces_it_comes(whole: bytes, expected: Told, cuts: list[int]) -> None:
    places = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]
    pieces = [whole[start:end] for start, end in pairwise(places) if end > start]
    assert answered(pieces) == (expected, True, True)


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        (UNTIL_CLOSED, (500, "", b"broken")),
        (CUT_OFF, (503, "", b"only th")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", (200, "", b"ok")),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", (200, "", b"ok")),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", (101, "", b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense", (200, "", b"")),
        (OK + THROTTLED, (200, "", b"ok")),
        (OK + CHUNKED[:30], (200, "", b"ok")),
        (b"", None),
        (OK[:20], None),
        (WAITING, None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"\x15\x03\x01\x00\x02", None),
    ],
)
def test_the_status_decides_however_the_answer_ends_and_nothing_follows_it(whole: bytes, expected: Told | None) -> None:
    assert answered([whole] if whole else [], is_closed=True) == (expected, True, False)


def test_what_has_begun_to_follow_an_answer_is_not_taken_for_the_next_one() -> None:
    assert answered([OK + CHUNKED[:30]]) == ((200, "", b"ok"), True, False)


def test_each_request_of_a_connection_has_its_own_time() -> None:
    async def work() -> None:
        loop, connection = asyncio.get_running_loop(), Connection()
        connection.connection_made(Wire())
        begun = loop.time()
        loop.call_soon(connection.data_received, OK)
        await connection.exchange(b"POST / HTTP/1.1\r\n\r\n", begun + 0.02)
        assert connection.is_usable
        await connection.exchange(b"POST / HTTP/1.1\r\n\r\n", begun + 0.06)
        assert loop.time() >= begun + 0.06
        assert connection.answer is None
        assert not connection.is_usable

    asyncio.run(work())


def test_its_headers_are_known_by_their_names_in_lower_case(loop_thread: LoopThread) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 202 Accepted\r\nX-Message-ID: m1\r\nContent-Length: 0\r\n\r\n")
        await reader.read()
        writer.close()

    (answer,) = posting(loop_thread, talk, b"{}")
    assert answer.headers == {"x-message-id": "m1", "content-length": "0"}


def test_no_more_is_kept_of_an_answer_than_is_wanted() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"
    answer, has_ended, is_usable = answered([start, *[b"x" * 9_000] * 9])
    assert answer == (200, "", b"x" * MAX_BODY)
    assert (has_ended, is_usable) == (True, False)


def test_headers_without_an_end_are_given_up() -> None:
    lines = b"".join(b"x-%d: %s\r\n" % (number, b"y" * 90) for number in range(100))
    start = b"HTTP/1.1 200 OK\r\n"
    assert answered([start, lines]) == (None, False, False)
    assert answered([start, *[lines] * (MAX_HEAD // len(lines) + 1)]) == (None, True, False)


def posting(loop: LoopThread, talk: Talk, *bodies: bytes, headers: dict[str, str] | None = None) -> list[Answer]:
    """Posts bodies one after another to a server that talks so."""

    async def work() -> list[Answer]:
        server, egress = await asyncio.start_server(talk, "127.0.0.1", 0), Egress(allow_local=True, deadline=5.0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a%20b?c=d"
        try:
            return [await egress.post(url, body, headers or {}) for body in bodies]
        finally:
            await egress.close()
            server.close()

    return loop.run(work())


async def read_request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return head + await reader.readexactly(length)


def test_a_request_says_where_it_goes_what_it_carries_and_nothing_twice(loop_thread: LoopThread) -> None:
    heard: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_request(reader))
        writer.write(OK)
        await reader.read()
        writer.close()

    posting(loop_thread, talk, "ü".encode(), headers={"webhook-id": "ü1"})
    head, body = heard[0].decode().split("\r\n\r\n")
    first, *lines = head.split("\r\n")
    assert (first, body) == ("POST /a%20b?c=d HTTP/1.1", "ü")
    names = [line.partition(":")[0] for line in lines]
    assert names == ["host", "user-agent", "accept", "webhook-id", "content-length"]
    assert lines[0].startswith("host: 127.0.0.1:")
    assert lines[3:] == ["webhook-id: ü1", "content-length: 2"]


def test_what_comes_unasked_is_not_taken_for_the_next_answer(loop_thread: LoopThread) -> None:
    accepted: list[None] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append(None)
        await read_request(reader)
        writer.write(OK + THROTTLED)
        await reader.read()
        writer.close()

    answers = posting(loop_thread, talk, b"1", b"2")
    assert [answer.status for answer in answers] == [200, 200]
    assert len(accepted) == 2


def test_a_connection_that_the_endpoint_closes_is_not_used_again(loop_thread: LoopThread) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    assert [answer.status for answer in posting(loop_thread, talk, b"1", b"2")] == [200, 200]


def test_what_is_no_http_is_no_answer(loop_thread: LoopThread) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        await reader.read()
        writer.close()

    with pytest.raises(Unanswered):
        posting(loop_thread, talk, b"{}")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\rb", "a\0b"])
def test_a_header_never_becomes_two(loop_thread: LoopThread, value: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise AssertionError(await reader.read())

    with pytest.raises(ValueError, match="more than one line"):
        posting(loop_thread, talk, b"{}", headers={"webhook-id": value})


def test_an_endpoint_that_speaks_no_tls_gets_nothing(loop_thread: LoopThread) -> None:
    async def work() -> None:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(OK)
            writer.close()

        server, egress = await asyncio.start_server(talk, "127.0.0.1", 0), Egress(allow_local=True, deadline=5.0)
        try:
            with pytest.raises(NotReached):
                await egress.post(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/", b"{}", {})
        finally:
            await egress.close()
            server.close()

    loop_thread.run(work())


@pytest.mark.parametrize(("address", "is_reached"), [("127.0.0.1", True), ("127.0.0.2", False)])
def test_an_endpoint_must_have_a_certificate_of_its_own(
    loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, is_reached: bool
) -> None:
    certificate, key = make_certificate(tmp_path / "server", address)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(2):
            await read_request(reader)
            writer.write(OK)
        await reader.read()
        writer.close()

    async def work() -> list[int]:
        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
        egress = Egress(allow_local=True, deadline=5.0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        try:
            return [(await egress.post(url, b"{}", {})).status for _ in range(2)]
        finally:
            await egress.close()
            server.close()

    if is_reached:
        assert loop_thread.run(work()) == [200, 200]
    else:
        with pytest.raises(NotReached):
            loop_thread.run(work())
