"""A receiver of webhooks in a process of its own, as cheap as Python makes one: `python -m benchmarks.notify.receiver`.

It prints its port. `POST /ok` is answered 200 and noted; `/hang` never; `/endless` with a body that never ends;
`/throttled` with 429 for an hour. `GET /` tells, as JSON, when what of which type named which monitor arrived, and
forgets it.
"""

import asyncio
import json
import re
import time

ALERT = re.compile(rb'"monitor_id"\s*:\s*"([^"]+)"')
TYPE = re.compile(rb'"type"\s*:\s*"([^"]+)"')
LENGTH = re.compile(rb"content-length:\s*(\d+)", re.IGNORECASE)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
THROTTLED = b"HTTP/1.1 429 Slow down\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"
ENDLESS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

arrived: list[tuple[str, str, float]] = []


class Receiver(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while (end := self._waiting.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._waiting[:end])
            length = LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._waiting) < whole:
                return
            body = bytes(self._waiting[end + 4 : whole])
            del self._waiting[:whole]
            self._answer(head.split(b" ", 2)[1], body)
            if b"connection: close" in head.lower():
                self._finish(head)

    def _finish(self, head: bytes) -> None:
        if not head.split(b" ", 2)[1].startswith((b"/hang", b"/endless")):
            self._transport.close()

    def _answer(self, path: bytes, body: bytes) -> None:
        if path.startswith(b"/ok"):
            name, kind = ALERT.search(body), TYPE.search(body)
            if name:
                # Alertmanager's messages have no type.
                arrived.append((name[1].decode(), kind[1].decode() if kind else "", time.time()))
            self._transport.write(OK)
        elif path.startswith(b"/throttled"):
            self._transport.write(THROTTLED)
        elif path.startswith(b"/endless"):
            self._transport.write(ENDLESS)
            asyncio.create_task(self._drip())  # noqa: RUF006
        elif path == b"/":
            said = json.dumps(arrived).encode()
            arrived.clear()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(said) + said)

    async def _drip(self) -> None:
        while not self._transport.is_closing():
            self._transport.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.5)


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Receiver, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
