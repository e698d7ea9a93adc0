"""Runs collectors at their pace until a signal comes or the parent is gone."""

import asyncio
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from monitors.collectors.check import Checker, open_session
from monitors.collectors.host import HostSampler
from monitors.collectors.targets import Target
from monitors.collectors.writer import Writer

Measure = Callable[[], Awaitable[Sequence[str]]]
Work = Coroutine[Any, Any, None]


async def run_host(url: str, key: str, monitor_id: str, interval: float) -> None:
    """Measures this machine every `interval` seconds and writes to `url`, until told to stop."""
    loop = asyncio.get_running_loop()
    sampler = HostSampler(monitor_id)
    # One thread, since psutil keeps its baselines per thread; a thread at all, since a sick disk may block.
    with ThreadPoolExecutor(1, "sampler") as thread:
        await loop.run_in_executor(thread, sampler.prime)

        def measure() -> Awaitable[Sequence[str]]:
            return loop.run_in_executor(thread, sampler.sample)

        await run_until_told(url, key, lambda writer: [repeat(measure, writer, interval, first=interval)])


async def run_checks(url: str, key: str, targets: Sequence[Target], interval: float) -> None:
    """Asks each target every `interval` seconds and writes to `url`, until told to stop."""
    async with open_session() as session:
        checkers = [Checker(target, session) for target in targets]
        # Each at its own pace: one that hangs delays no other.
        await run_until_told(
            url, key, lambda writer: [repeat(checker.check, writer, interval, first=0.0) for checker in checkers]
        )


async def repeat(measure: Measure, writer: Writer, interval: float, *, first: float) -> None:
    """Measures after `first` seconds and then every `interval`; turns that a slow measurement took are left out."""
    loop = asyncio.get_running_loop()
    due = loop.time() + first
    while True:
        await asyncio.sleep(due - loop.time())
        writer.add(await measure())
        late = max(0.0, loop.time() - due)
        due += interval * (late // interval + 1)


async def run_until_told(url: str, key: str, works: Callable[[Writer], Sequence[Work]]) -> None:
    """Runs works that feed a writer until SIGTERM, SIGINT or the end of standard input, then sends what waits."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # nosemgrep: http-client-past-the-guard (it writes to the mesh that started it)
    async with aiohttp.ClientSession(trust_env=False) as session, parent_watched(stop):
        writer = Writer(url, key, session)
        told = asyncio.create_task(stop.wait())
        tasks = [told, *(asyncio.create_task(work) for work in (writer.run(), *works(writer)))]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        await writer.finish()
    for result in results:
        if isinstance(result, Exception):
            raise result


@asynccontextmanager
async def parent_watched(stop: asyncio.Event) -> AsyncIterator[None]:
    """Sets `stop` when standard input ends, if it's a pipe: whoever started us holds its other end and is gone.

    At a terminal, or under a supervisor that gives us /dev/null, there is nothing to watch.
    """
    mode = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        yield
        return
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )

    async def watch() -> None:
        while await reader.read(65536):
            continue
        stop.set()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        transport.close()
