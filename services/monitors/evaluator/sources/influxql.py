"""InfluxDB 1.x and 3.x, asked in InfluxQL over `/query`.

3.x answers it as 1.x does, with four differences: it takes a request from the URL only, one statement at a time and
without parameters, and doesn't quote the texts in its CSV, so that it's asked for JSON.
https://docs.influxdata.com/influxdb/v1/tools/api/#query-http-endpoint
https://docs.influxdata.com/influxdb3/core/query-data/execute-queries/influxdb-v1-api/
"""

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import quote_plus, urlencode

import aiohttp
from yarl import URL

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Points
from monitors.evaluator.sources.errors import SourceError, SourceRefused, SourceUnavailable, refusal, write_refusal
from monitors.evaluator.sources.http import WRITES_AT_ONCE, again, open_session, said_in, unreachable
from monitors.evaluator.sources.influxql_answer import (
    Answer,
    CsvAnswer,
    JsonAnswer,
    StatementError,
    naming,
    read_document,
)
from monitors.evaluator.sources.influxql_text import (
    EARLIEST,
    LATEST,
    TYPES,
    Measurement,
    Question,
    Statement,
    Texts,
    of_monitors,
    quote_name,
    quote_text,
    statements,
)
from monitors.evaluator.sources.port import Selection, SourceSeries, Version
from monitors.evaluator.sources.series_book import SeriesBook
from monitors.evaluator.sources.settings import InfluxSettings

T = TypeVar("T")
IDS_AT_ONCE = 1_000
IDS_IN_URL = 100
LONGEST_URL = 65_535
"""How many bytes servers take at most. A third is left for what isn't an id."""
LENGTH_BESIDE_ID = 200
"""How many bytes of a URL an id takes beside those of its own, which come twice where a measurement has both tags that
name monitors."""
LONGEST_REQUEST = 1_000_000
"""How many characters of statements go into one request; Go's servers take 10 MB of a form."""
ROWS_OF_CHUNK = 10_000
PIECE = 1 << 18
LONGEST_SCHEMA = 64 << 20
# A server that fails within a statement ends its CSV without a word, but skips the statements after it: so one that
# always has an answer comes last.
LAST_STATEMENT = "SHOW MEASUREMENTS LIMIT 1"


@dataclass(frozen=True)
class Request:
    """Statements that are asked at once."""

    statements: tuple[Statement, ...]
    parameters: dict[str, str | int]


class InfluxqlSource:
    """A Source. `session` is closed with it."""

    def __init__(self, settings: InfluxSettings, version: Version, session: aiohttp.ClientSession) -> None:
        self._settings, self._version, self._session = settings, version, session
        self._writing = open_session(settings, WRITES_AT_ONCE)
        self._is_first = version.major == 1
        self._database, _, self._policy = (
            settings.bucket.partition("/") if self._is_first else (settings.bucket, "", "")
        )
        # Without it, the default policy is told of.
        self._from = f" FROM {quote_name(self._policy)}./.*/" if self._policy else ""
        self._book = SeriesBook()
        self._names = naming(self._book)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="influxql")

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
        await self._session.close()
        await self._writing.close()
        self._reader.shutdown()

    def read(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        return self._answers(selection, start, end, newest=False)

    def newest(self, selection: Selection, start: int, end: int) -> AsyncGenerator[Points]:
        """See Source."""
        return self._answers(selection, start, end, newest=True)

    async def write(self, lines: bytes) -> None:
        """See Source."""
        if self._is_first:
            url, asked = f"{self._settings.url}/write", {"db": self._database, "precision": "n"}
            if self._policy:
                asked["rp"] = self._policy
        else:
            # https://docs.influxdata.com/influxdb3/core/write-data/http-api/compatibility-apis/
            url, asked = f"{self._settings.url}/api/v2/write", {"bucket": self._database, "precision": "ns"}
        await again(lambda: self._write(url, asked, lines))

    async def _write(self, url: str, asked: dict[str, str], lines: bytes) -> None:
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        try:
            async with self._writing.post(
                url, params=asked, data=lines, headers=headers, allow_redirects=False
            ) as response:
                if response.status != HTTPStatus.NO_CONTENT:
                    raise write_refusal(response.status, await said_in(response), self._settings.bucket)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error

    async def _answers(self, selection: Selection, start: int, end: int, *, newest: bool) -> AsyncGenerator[Points]:
        schema = await self._schema(selection)
        await self._in_thread(self._names.begin)
        for request in self._requests(schema, selection, max(start, EARLIEST), min(end, LATEST), newest):
            async for points in self._answer(request):
                yield points

    # --- what to ask ---

    async def _schema(self, selection: Selection) -> list[Measurement]:
        """The measurements of the selection. They're asked for each time: it takes little, and they may be new."""
        fields, tags = dict[str, dict[tuple[str, FieldType], None]](), dict[str, list[str]]()
        for series in await self._ask(f"SHOW FIELD KEYS{self._from}"):
            for name, kind in series["values"]:
                if kind in TYPES:
                    fields.setdefault(series["name"], {})[name, TYPES[kind]] = None
        if not fields:
            if self._is_first:
                await self._check_database()
            return []
        for series in await self._ask(f"SHOW TAG KEYS{self._from}"):
            tags[series["name"]] = sorted(value[0] for value in series["values"])
        wanted = selection.measurements
        return [
            Measurement(name, tuple(own), tuple(tags.get(name, ())))
            for name, own in sorted(fields.items())
            if wanted is None or name in wanted
        ]

    async def _check_database(self) -> None:
        """Tells an empty database from one that isn't there, of which 1.x says the same."""
        databases = {value[0] for series in await self._ask("SHOW DATABASES") for value in series.get("values", ())}
        if self._database not in databases:
            raise refusal(HTTPStatus.NOT_FOUND, "", self._settings.bucket)

    def _requests(
        self, schema: Sequence[Measurement], selection: Selection, start: int, end: int, newest: bool
    ) -> Iterator[Request]:
        for ids in _pages(selection.monitors) if self._is_first else _pages_for_urls(selection.monitors):
            texts = Texts(bound=self._is_first)
            times = f"time >= {texts.put(start)} AND time <= {texts.put(end)}"
            question = Question(selection, times, newest, self._policy)
            numbers = itertools.count()
            asked = list[Statement]()
            for measurement in schema:
                any_of = None if ids is None else of_monitors(measurement, ids, texts)
                if any_of is None or any_of:
                    asked += statements(question, measurement, any_of, numbers)
            for together in self._packed(asked):
                yield Request(tuple(together), texts.parameters)

    def _packed(self, asked: Sequence[Statement]) -> Iterator[list[Statement]]:
        together, length = list[Statement](), 0
        for statement in asked:
            if together and (not self._is_first or length + len(statement.text) > LONGEST_REQUEST):
                yield together
                together, length = [], 0
            together.append(statement)
            length += len(statement.text)
        if together:
            yield together

    # --- asking ---

    async def _answer(self, request: Request) -> AsyncGenerator[Points]:
        """The answer to a request, part by part. It's asked again only as long as nothing of it has been passed on."""
        texts = [statement.text for statement in request.statements]
        answer: Answer
        if self._is_first:
            answer, kind, texts_and_last = CsvAnswer(request.statements, self._names), "csv", [*texts, LAST_STATEMENT]
        else:
            answer, kind, texts_and_last = JsonAnswer(request.statements, self._names), "json", texts
        form = self._form(";".join(texts_and_last), request.parameters)
        try:
            async with await again(lambda: self._send(form, f"application/{kind}")) as response:
                async for piece in self._pieces(response):
                    for points in await self._in_thread(partial(answer.feed, piece)):
                        yield points
                for points in await self._in_thread(answer.end):
                    yield points
        except StatementError as error:
            raise self._failed(str(error)) from None
        if not answer.complete:
            raise await self._why(texts, request.parameters)

    async def _pieces(self, response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for piece in response.content.iter_chunked(PIECE):
                yield piece
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error

    async def _why(self, texts: Sequence[str], parameters: dict[str, str | int]) -> SourceError:
        """The error of a statement that failed without a word, if it fails again for its first row."""
        try:
            await self._ask(";".join(f"{text} LIMIT 1" for text in texts), parameters)
        except SourceError as error:
            return error
        return SourceUnavailable("broke off its answer; its log tells why (a limit of its own on queries, perhaps)")

    async def _ask(self, query: str, parameters: dict[str, str | int] | None = None) -> list[dict[str, Any]]:
        """The series of a short answer, all of it at once."""
        form = self._form(query, parameters or {}, chunked=False)
        async with await again(lambda: self._send(form, "application/json")) as response:
            body = bytearray()
            async for piece in self._pieces(response):
                body += piece
                if len(body) > LONGEST_SCHEMA:
                    raise SourceRefused(f"has more than {LONGEST_SCHEMA:,} bytes of names of measurements and fields")
        try:
            return read_document(bytes(body))
        except StatementError as error:
            raise self._failed(str(error)) from None

    def _failed(self, said: str) -> SourceError:
        """The error of a statement. What isn't known to stay so until somebody mends it may pass."""
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        if "not found" in said:
            status = HTTPStatus.NOT_FOUND
        elif "max-select" in said:
            status = HTTPStatus.BAD_REQUEST
        return refusal(status, said, self._settings.bucket)

    def _form(self, query: str, parameters: dict[str, str | int], *, chunked: bool = True) -> dict[str, str]:
        form = {"db": self._database, "q": query, "epoch": "ns"}
        if chunked:
            form |= {"chunked": "true", "chunk_size": str(ROWS_OF_CHUNK)}
        if parameters:
            form["params"] = json.dumps(parameters)
        return form

    async def _send(self, form: dict[str, str], accepted: str) -> aiohttp.ClientResponse:
        """The answer to a request, begun; whoever takes it closes it."""
        url, headers = f"{self._settings.url}/query", {"Accept": accepted}
        try:
            if self._is_first:
                response = await self._session.post(url, data=form, headers=headers, allow_redirects=False)
            else:
                asked = URL(f"{url}?{urlencode(form)}", encoded=True)
                response = await self._session.get(asked, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        if response.status != HTTPStatus.OK:
            async with response:
                raise refusal(response.status, await said_in(response), self._settings.bucket)
        return response

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._reader, work)


def _pages(monitors: tuple[str, ...] | None) -> Iterator[list[str] | None]:
    if monitors is None:
        yield None
        return
    ids = [monitor for monitor in dict.fromkeys(monitors) if monitor]
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]


def _pages_for_urls(monitors: tuple[str, ...] | None) -> Iterator[list[str] | None]:
    """The same for requests that are URLs: long ids of one tenant mustn't make them too long for all."""
    page, length = list[str](), 0
    for monitor in dict.fromkeys(filter(None, monitors or ())):
        own = LENGTH_BESIDE_ID + 2 * len(quote_plus(quote_text(monitor)))
        if page and (len(page) == IDS_IN_URL or length + own > 2 * LONGEST_URL // 3):
            yield page
            page, length = [], 0
        page.append(monitor)
        length += own
    if page or monitors is None:
        yield page or None
