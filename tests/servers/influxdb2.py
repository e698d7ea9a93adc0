"""A double of InfluxDB 2.x, for whose server there is no package: the part of its HTTP API that we use, strictly.

It was written after the documentation and the server's source, and never compared with a real one. Where the server is
lenient (unknown keys in a body, unknown types of content), it's strict, so that we send only what is documented.
https://docs.influxdata.com/influxdb/v2/api/
"""

import gzip
import json
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.servers.influxdb2_csv import encoded, error_table
from tests.servers.influxdb2_flux import Failed, Refused, externals, run
from tests.servers.influxdb2_points import BadLine, Bucket

VERSION = "v2.7.12"
TOKEN, ORG = "the-token-of-the-double", "monitors"
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9}
_QUERY_KEYS = {"query", "type", "dialect", "extern", "now", "params"}
_DIALECT_KEYS = {"header", "delimiter", "annotations", "commentPrefix", "dateTimeFormat"}
_ANNOTATIONS = {"datatype", "group", "default"}


@dataclass
class Faults:
    """What goes wrong on purpose."""

    statuses: list[int] = field(default_factory=list)
    """The next queries are answered with these instead."""
    cut_after: int | None = None
    """After so many bytes of an answer the connection is closed."""
    error_after: tuple[int, str] | None = None
    """After so many tables the answer ends with this error."""
    silent: bool = False
    """Queries get no answer, until `spoken` is set."""
    spoken: threading.Event = field(default_factory=threading.Event)


@dataclass
class Influx2:
    """The double: what it holds, and what it was asked."""

    buckets: dict[str, Bucket] = field(default_factory=lambda: {"monitors": Bucket()}, repr=False)
    faults: Faults = field(default_factory=Faults)
    queries: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """The bodies of the queries that were taken."""
    headers: list[dict[str, str]] = field(default_factory=list, repr=False)
    """The headers of the same."""
    url: str = ""

    def write(self, lines: str) -> None:
        """Puts points in without a client."""
        refused = self.buckets["monitors"].write(lines, 1, time.time_ns())
        assert not refused, refused


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    double: Influx2

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/ping":
            self._send(204, b"")
        elif path == "/health":
            body = {"name": "influxdb", "message": "ready for queries and writes", "status": "pass", "checks": []}
            self._send_json(200, {**body, "version": VERSION, "commit": "0"})
        else:
            self._refuse(Refused(404, "not found", "path not found"))

    def do_POST(self) -> None:
        try:
            body = self._body()
            path = urlsplit(self.path).path
            parameters = {name: values[-1] for name, values in parse_qs(urlsplit(self.path).query).items()}
            if self.headers.get("Authorization") != f"Token {TOKEN}":
                raise Refused(401, "unauthorized", "unauthorized access")
            if path == "/api/v2/query":
                self._query(body, parameters)
            elif path == "/api/v2/write":
                self._write(body, parameters)
            else:
                raise Refused(404, "not found", "path not found")
        except Refused as refused:
            self._refuse(refused)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    # --- what is asked ---

    def _query(self, body: bytes, parameters: dict[str, str]) -> None:
        request = self._request(body)
        self._check_org(parameters)
        dialect = _checked_dialect(request.get("dialect") or {})
        faults = self.double.faults
        if faults.statuses:
            raise Refused(faults.statuses.pop(0), "unavailable", "the queue of queries is full")
        self.double.queries.append(request)
        self.double.headers.append(dict(self.headers.items()))
        if faults.silent:
            faults.spoken.wait(30)
        annotations = dialect.get("annotations") or []
        message = ""
        try:
            tables = run(request["query"], externals(request.get("extern")), self.double.buckets, time.time_ns())
            texts = list(encoded(tables, annotations, header=dialect.get("header", True)))
        except Failed as failed:
            texts, message = [], str(failed)
        if faults.error_after:
            texts, message = texts[: faults.error_after[0]], faults.error_after[1]
        if message:
            texts.append(error_table(message, annotations, written_before=bool(texts)))
        self._stream([text.encode() for text in texts], faults.cut_after)

    def _request(self, body: bytes) -> dict[str, Any]:
        kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
        if kind == "application/vnd.flux":
            return {"query": body.decode()}
        if kind != "application/json":
            raise Refused(400, "invalid", f"invalid content type {kind!r}")
        try:
            request = json.loads(body)
        except ValueError as error:
            raise Refused(400, "invalid", f"failed to decode request body: {error}") from error
        if not isinstance(request, dict) or not {*request} <= _QUERY_KEYS or not request.get("query"):
            raise Refused(400, "invalid", "failed to decode request body: request body requires either query or AST")
        if request.get("type", "flux") != "flux":
            raise Refused(400, "invalid", f"unknown query type: {request['type']}")
        if request.get("params"):
            raise Refused(400, "invalid", "failed to decode request body: params are for InfluxDB Cloud only")
        return request

    def _write(self, body: bytes, parameters: dict[str, str]) -> None:
        self._check_org(parameters)
        name = parameters.get("bucket", "")
        if name not in self.double.buckets:
            raise Refused(404, "not found", f'bucket "{name}" not found')
        unit = _UNITS.get(parameters.get("precision", "ns"))
        if unit is None:
            raise Refused(400, "invalid", "invalid precision; valid precision units are ns, us, ms, and s")
        try:
            refused = self.double.buckets[name].write(body.decode(), unit, time.time_ns())
        except BadLine as error:
            raise Refused(400, "invalid", str(error)) from error
        if refused:
            text = f"failure writing points to database: partial write: {refused[0]} dropped={len(refused)}"
            raise Refused(422, "unprocessable entity", text)
        self._send(204, b"")

    def _check_org(self, parameters: dict[str, str]) -> None:
        org = parameters.get("org") or parameters.get("orgID")
        if not org:
            raise Refused(400, "invalid", "Please provide either orgID or org")
        if org != ORG:
            raise Refused(404, "not found", f'organization name "{org}" not found')

    # --- HTTP ---

    def _body(self) -> bytes:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        encoding = self.headers.get("Content-Encoding", "identity")
        if encoding == "gzip":
            return gzip.decompress(body)
        if encoding != "identity":
            raise Refused(400, "invalid", f"invalid content encoding {encoding!r}")
        return body

    def _stream(self, texts: list[bytes], cut_after: int | None) -> None:
        packed = "gzip" in self.headers.get("Accept-Encoding", "")
        self.send_response(200)
        self.send_header("Content-Type", "text/csv; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        if packed:
            self.send_header("Content-Encoding", "gzip")
        self._end_headers()
        packer = zlib.compressobj(wbits=31)
        left = cut_after
        for text in texts:
            piece = packer.compress(text) + packer.flush(zlib.Z_SYNC_FLUSH) if packed else text
            if left is not None and len(piece) > left:
                self.wfile.write(b"%x\r\n" % len(piece) + piece[:left])
                self.close_connection = True
                return
            left = None if left is None else left - len(piece)
            self._chunk(piece)
        if packed:
            self._chunk(packer.flush())
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n" % len(piece) + piece + b"\r\n")

    def _refuse(self, refused: Refused) -> None:
        self._send_json(refused.status, {"code": refused.code, "message": refused.message}, refused.code)

    def _send_json(self, status: int, body: dict[str, Any], code: str = "") -> None:
        self._send(status, json.dumps(body).encode(), "application/json; charset=utf-8", code)

    def _send(self, status: int, body: bytes, kind: str = "", code: str = "") -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        if code:
            self.send_header("X-Platform-Error-Code", code)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self._end_headers()
        self.wfile.write(body)

    def _end_headers(self) -> None:
        self.send_header("X-Influxdb-Build", "OSS")
        self.send_header("X-Influxdb-Version", VERSION)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        return


def _checked_dialect(dialect: dict[str, Any]) -> dict[str, Any]:
    unknown = {*dialect} - _DIALECT_KEYS
    if unknown:
        raise Refused(400, "invalid", f"unknown dialect key: {sorted(unknown)[0]}")
    for name in dialect.get("annotations") or []:
        if name not in _ANNOTATIONS:
            raise Refused(400, "invalid", f"unknown dialect annotation type: {name}")
    if dialect.get("delimiter", ",") != "," or dialect.get("commentPrefix", "#") != "#":
        raise Refused(400, "invalid", "invalid dialect delimeter: must be length 1")
    if dialect.get("dateTimeFormat", "RFC3339") not in ("RFC3339", "RFC3339Nano"):
        raise Refused(400, "invalid", f"unknown dialect date time format: {dialect['dateTimeFormat']}")
    return dialect


@contextmanager
def influx2() -> Iterator[Influx2]:
    """Runs a double."""
    double = Influx2()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"double": double}))
    server.daemon_threads = True
    double.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        double.faults.spoken.set()
        server.shutdown()
        server.server_close()
        thread.join()
