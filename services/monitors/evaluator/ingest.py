"""The HTTP endpoint that InfluxDB's unchanged clients write to."""

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from monitors.evaluator.influx import (
    BUILD,
    MAX_BODY,
    VERSION,
    HttpError,
    credential_of,
    error_response,
    from_mesh_error,
    partial_write,
    too_large,
    unpack,
    version_headers,
)
from monitors.evaluator.intake import Sink, Written
from monitors.evaluator.lines import PRECISIONS, ParsedLines
from monitors.evaluator.reader import LineReader
from monitors.evaluator.spans import describe_write, write_span
from monitors.evaluator.turns import Turns
from monitors.mesh.database import storage_error
from monitors.mesh.errors import MeshError, NotTaken, Unauthenticated
from monitors.mesh.guesses import Guesses, counted_address
from monitors.mesh.identity import Authenticate
from monitors.mesh.interceptors import check_scope
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.server import PortTaken
from monitors.mesh.spans import is_traced
from monitors.mesh.times import now_nanos

log = logging.getLogger(__name__)

SCOPE = "samples:write"
# A body of this size takes about a millisecond to read; a longer one is read off the event loop.
INLINE_BYTES = 65_536
LARGE_BODIES = 4
LARGE_BODIES_OF_TENANT = 2
BODY_SECONDS = 60.0
SHUTDOWN_SECONDS = 5.0
WRITES_ONLY = (
    "this endpoint takes writes only; ask for points with EvaluatorService.QuerySeries, for alerts with RuleService"
)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Ingest:
    """The handlers. `trouble` says what keeps points from being evaluated; empty if nothing does."""

    def __init__(
        self,
        intake: Sink,
        reader: LineReader,
        authenticate: Authenticate,
        trouble: Callable[[], str],
        quota: RequestQuota | None = None,
        guesses: Guesses | None = None,
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._authenticate = authenticate
        self._trouble = trouble
        self._quota = quota
        self._guesses = guesses
        self._is_traced = is_traced()
        self._parser = ThreadPoolExecutor(1, thread_name_prefix="lines")
        # Bounds the memory that large bodies take at the same time, and how many of them one tenant may have.
        self._large = Turns(LARGE_BODIES, LARGE_BODIES_OF_TENANT)

    def application(self) -> web.Application:
        """All routes."""
        outermost = [write_span] if self._is_traced else []
        app = web.Application(middlewares=[*outermost, _answer_errors], client_max_size=MAX_BODY)
        app.router.add_post("/api/v2/write", self.write)
        app.router.add_post("/write", self.write)
        app.router.add_get("/ping", self.ping)
        app.router.add_get("/health", self.health)
        app.router.add_post("/api/v2/query", self.query)
        app.router.add_get("/query", self.query)
        app.router.add_post("/query", self.query)
        return app

    def close(self) -> None:
        """Ends the parser's thread."""
        self._parser.shutdown()

    async def write(self, request: web.Request) -> web.Response:
        """Line protocol. 204 once every point is durable."""
        tenant = await self._writer(request)
        precision = request.query.get("precision") or "ns"
        if precision not in PRECISIONS:
            raise HttpError(
                HTTPStatus.BAD_REQUEST,
                f"invalid precision {precision[:20]!r}; send one of {', '.join(PRECISIONS)}, or none for ns",
            )
        length = request.content_length
        if length is not None and length <= INLINE_BYTES:
            return await self._take(request, tenant, PRECISIONS[precision])
        async with self._large.turn(tenant):
            return await self._take(request, tenant, PRECISIONS[precision])

    async def _writer(self, request: web.Request) -> str:
        credential = credential_of(request)
        try:
            principal = await self._authenticate(credential)
        except Unauthenticated as error:
            if self._guesses is None:
                raise
            raise await self._guesses.counted(counted_address(request.remote), error) from None
        check_scope(principal, SCOPE)
        if not principal.tenant:
            raise Unauthenticated("a service has no tenant of its own; write with a user's API key")
        if self._quota:
            await self._quota.check(principal)
        return principal.tenant

    async def _take(self, request: web.Request, tenant: str, unit: int) -> web.Response:
        parsed = await self._parse(request, tenant, unit)
        if self._is_traced:
            describe_write(tenant, len(parsed.submission.points))
        written = Written(0, ())
        if len(parsed.submission.points):
            written = await self._intake.write(parsed.submission)
        error = partial_write(request.path, parsed, written)
        if error:
            raise error
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=version_headers())

    async def _parse(self, request: web.Request, tenant: str, unit: int) -> ParsedLines:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            raise HttpError(HTTPStatus.REQUEST_TIMEOUT, "the body came too slowly; send smaller parts") from None
        encoding = request.headers.get("Content-Encoding", "").strip().lower()

        def parse() -> ParsedLines:
            return self._reader.read(unpack(body, encoding), tenant, unit, now_nanos())

        # A small compressed body may be a large one.
        if len(body) <= INLINE_BYTES and not encoding:
            return parse()
        return await asyncio.get_running_loop().run_in_executor(self._parser, parse)

    async def ping(self, request: web.Request) -> web.Response:
        """That somebody is here."""
        return web.Response(status=HTTPStatus.NO_CONTENT, headers=version_headers())

    async def health(self, request: web.Request) -> web.Response:
        """InfluxDB 2's health document."""
        trouble = self._trouble()
        status = "fail" if trouble else "pass"
        document = {
            "name": "monitors",
            "message": trouble or "ready for writes",
            "status": status,
            "version": VERSION,
            "commit": BUILD,
            "checks": [{"name": "evaluation", "status": status, "message": trouble or "points are evaluated"}],
        }
        code = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
        return web.json_response(document, status=code, headers=version_headers())

    async def query(self, request: web.Request) -> web.Response:
        """Refused, but for the CREATE DATABASE with which Telegraf's 1.x output begins: there is one anyway."""
        await self._writer(request)
        form = await request.post() if request.method == "POST" and "q" not in request.query else request.query
        statement = str(form.get("q", "")).strip().upper()
        if request.path == "/query" and statement.startswith("CREATE DATABASE "):
            return web.json_response({"results": [{"statement_id": 0}]}, headers=version_headers())
        raise HttpError(HTTPStatus.NOT_IMPLEMENTED, WRITES_ONLY)


@web.middleware
async def _answer_errors(request: web.Request, handler: _Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except HttpError as error:
        return error_response(request.path, error)
    except MeshError as error:
        response = error_response(request.path, from_mesh_error(error))
        if isinstance(error, NotTaken):
            # A connection that is kept leads here for ever, a new one to an evaluator that is ready.
            response.force_close()
        return response
    except web.HTTPRequestEntityTooLarge:
        return error_response(request.path, too_large())
    except web.HTTPNotFound:
        message = f"path {request.path[:100]!r} isn't known; write to /api/v2/write or /write"
        return error_response(request.path, HttpError(HTTPStatus.NOT_FOUND, message))
    except web.HTTPException as error:
        return error_response(request.path, HttpError(HTTPStatus(error.status), error.reason))
    except Exception as error:
        return error_response(request.path, _fault(error))


def _fault(error: Exception) -> HttpError:
    known = storage_error(error)
    if known:
        return from_mesh_error(known)
    error_id = secrets.token_hex(4)
    log.error("a write failed, error %s", error_id, exc_info=error)
    message = f"something went wrong on our side (error {error_id}, which the server's log explains)"
    return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, message)


@asynccontextmanager
async def listening(ingest: Ingest, host: str, port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serves until the context is left, and then finishes what is being written; over TLS if there is something to
    speak it with. Gives the port. Raises PortTaken."""
    runner = web.AppRunner(
        ingest.application(), access_log=None, auto_decompress=False, shutdown_timeout=SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port, ssl_context=tls).start()
        except OSError as error:
            raise PortTaken(
                f"{host}:{port} can't be listened on; stop the program that has it, or choose another port with "
                "MONITORS_HTTP_PORT"
            ) from error
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
        ingest.close()
