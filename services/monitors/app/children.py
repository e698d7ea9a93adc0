"""Child processes of `monitors up`: collectors and, if asked for, the MCP bridge. One that ends is started again."""

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
STOP_SECONDS = 5.0


@dataclass(frozen=True)
class Child:
    """A command with what it adds to the environment. It must end when its standard input is closed."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]


async def keep_running(child: Child) -> None:
    """Runs the child until this is cancelled, with a growing pause between starts of one that keeps ending."""
    pause = FIRST_PAUSE
    while True:
        started = asyncio.get_running_loop().time()
        process = await asyncio.create_subprocess_exec(
            *child.command,
            env={**os.environ, **child.environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            # A terminal's Ctrl-C is for us; we then end our children in order.
            start_new_session=True,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        if asyncio.get_running_loop().time() - started > LONGEST_PAUSE:
            pause = FIRST_PAUSE
        log.warning("%s ended with code %s; starting it again in %.0f s", child.name, code, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


async def _stop(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()
