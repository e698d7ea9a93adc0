"""A process that writes and seals without end, for the test that kills it: `python -m tests.evaluator.history.sealer`.

Its argument is the folder. After each batch that is durable, and before each sealing, it prints a line.
"""

import asyncio
import sys
from itertools import count
from pathlib import Path

from monitors.mesh.times import HOUR, SECOND
from tests.evaluator.history.parts import SERIES, START, floats, opened

POINTS = 200
BATCHES = 4


async def write_and_seal(folder: Path) -> None:
    """An hour's batches, then their sealing, then the next hour's. A batch's points have its number as their value."""
    async with opened(folder) as store:
        first = await store.newest_batch()
        for number in count(first + 1):
            hour = START + number // BATCHES * HOUR
            points = floats(*[(hour + (number * POINTS + place) * SECOND, float(number)) for place in range(POINTS)])
            await store.append([] if number > 1 else SERIES, hour, points)
            print(f"durable {number}", flush=True)  # noqa: T201
            if number % BATCHES == 0:
                print("sealing", flush=True)  # noqa: T201
                while await store.seal_closed(hour + HOUR, number):
                    pass


if __name__ == "__main__":
    asyncio.run(write_and_seal(Path(sys.argv[1])))
