"""InfluxDB 2.x, asked in Flux through its own client, whose parser isn't used: it's tens of times slower than ours.

https://docs.influxdata.com/influxdb/v2/api/query-data/
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from influxdb_client import Dialect, InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, ReadTimeoutError

from monitors.evaluator.points import Points
from monitors.evaluator.sources.annotated_csv import COLLISION, Answer, Collision, naming
from monitors.evaluator.sources.checked_pools import check_addresses
from monitors.evaluator.sources.errors import SourceUnavailable, refusal, write_refusal
from monitors.evaluator.sources.flux_text import Manner, Query, is_empty, queries
from monitors.evaluator.sources.http import CONNECT_SECONDS, CONNECTIONS, WRITES_AT_ONCE, again, is_local, said
from monitors.evaluator.sources.port import Selection, SourceSeries, Version
from monitors.evaluator.sources.series_book import SeriesBook
from monitors.evaluator.sources.settings import InfluxSettings

T = TypeVar("T")
PIECE = 1 << 18
# Without `group`, which tells nothing that is needed; with `default`, so that no row repeats the name of the result.
DIALECT = Dialect(
    header=True, delimiter=",", comment_prefix="#", annotations=["datatype", "default"], date_time_format="RFC3339"
)


class FluxSource:
    """A Source."""

    def __init__(self, settings: InfluxSettings, version: Version) -> None:
        self._settings, self._version = settings, version
        self._client = InfluxDBClient(
            settings.url,
            settings.token.reveal() or None,
            timeout=(int(CONNECT_SECONDS * 1_000), int(settings.timeout * 1_000)),
            enable_gzip=not is_local(settings.url),
            org=settings.org,
            connection_pool_maxsize=CONNECTIONS + WRITES_AT_ONCE,
        )
        self._writes = self._client.write_api(write_options=SYNCHRONOUS)
        self._writing = ThreadPoolExecutor(WRITES_AT_ONCE, thread_name_prefix="flux-writes")
        check_addresses(self._client.api_client.rest_client.pool_manager)
        self._book = SeriesBook()
        self._names = naming(self._book)
        self._asking = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="flux")
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="flux-csv")
        self._grouped = True

    @property
    def version(self) -> Version:
        """What answers."""
        return self._version

    @property
    def series(self) -> Sequence[SourceSeries]:
        """Every series that an answer has held so far."""
        return self._book.series

    async def close(self) -> None:
        """Lets go of the connections."""
        await asyncio.to_thread(self._client.close)
        self._asking.shutdown(wait=False)
        self._writing.shutdown(wait=False)
        self._reader.shutdown()

    def read(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        return self._answers(selection, start, end, newest=False)

    def newest(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        return self._answers(selection, start, end, newest=True)

    async def write(self, lines: bytes) -> None:
        """See Source."""
        await again(lambda: _in(self._writing, partial(self._write, lines)))

    def _write(self, lines: bytes) -> None:
        bucket, org = self._settings.bucket, self._settings.org
        try:
            self._writes.write(bucket, org, lines, write_precision="ns")
        except ApiException as error:
            body = error.body or b""
            told = said(body if isinstance(body, bytes) else str(body).encode())
            # Not `from error`: its text holds the headers.
            raise write_refusal(error.status or 0, told, bucket, org) from None
        except HTTPError as error:
            raise _unreachable(error, begun=False) from error

    async def _answers(self, selection: Selection, start: int, end: int, *, newest: bool) -> AsyncGenerator[Points]:
        if is_empty(selection) or start > end:
            return
        passed = False
        try:
            async for points in self._asked(selection, start, end, Manner(newest, self._grouped)):
                passed = True
                yield points
            return
        except Collision:
            # From now on each series comes in a table of its own.
            self._grouped = False
            if passed:
                raise
        async for points in self._asked(selection, start, end, Manner(newest, grouped=False)):
            yield points

    async def _asked(self, selection: Selection, start: int, end: int, manner: Manner) -> AsyncGenerator[Points]:
        await _in(self._reader, self._names.begin)
        for query in queries(self._settings.bucket, selection, start, end, manner):
            async for points in self._answer(query):
                yield points

    async def _answer(self, query: Query) -> AsyncGenerator[Points]:
        """The answer to a query, part by part. It's asked again only as long as nothing of it has been passed on."""
        response = await again(lambda: _in(self._asking, partial(self._post, query)))
        try:
            answer = Answer(self._names, self._book, query.monitors)
            pieces = self._pieces(response)
            while (piece := await _in(self._asking, lambda: next(pieces, None))) is not None:
                for points in await _in(self._reader, partial(answer.feed, piece)):
                    yield points
            for points in await _in(self._reader, answer.end):
                yield points
        finally:
            # An answer that was read to its end has given its connection back; another one's can't be used again.
            response.close()

    def _post(self, query: Query) -> Any:
        """Asks, and returns urllib3's answer, begun."""
        try:
            return self._client.query_api().query_raw(
                query.text, dialect=DIALECT, params=dict(query.parameters), org=self._settings.org
            )
        except ApiException as error:
            body = error.body or b""
            told = said(body if isinstance(body, bytes) else str(body).encode())
            if COLLISION in told:
                raise Collision(f"can't put a field of several types into one table: {told}") from None
            # Not `from error`: its text holds the headers.
            raise refusal(error.status or 0, told, self._settings.bucket, self._settings.org) from None
        except HTTPError as error:
            raise _unreachable(error, begun=False) from error

    def _pieces(self, response: Any) -> Iterator[bytes]:
        try:
            yield from response.stream(PIECE, decode_content=True)
        except HTTPError as error:
            raise _unreachable(error, begun=True) from error


async def _in(executor: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, work)


def _unreachable(error: HTTPError, *, begun: bool) -> SourceUnavailable:
    if isinstance(error, NewConnectionError):
        return SourceUnavailable("can't be reached; check that it runs, and INFLUXDB_URL", again=True)
    if isinstance(error, ReadTimeoutError | ConnectTimeoutError):
        # A slow server isn't helped by the same query once more.
        return SourceUnavailable("doesn't answer in time; it's busy, or INFLUXDB_TIMEOUT is short for so much data")
    # A connection that was kept for the next query may be closed by then.
    return SourceUnavailable("broke off its answer", again=not begun)
