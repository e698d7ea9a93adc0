"""What every benchmark needs: CPU seconds and memory of processes, spreads, the machine's line, and the table."""

import gc
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import ParamSpec, TypeVar

import psutil
from rich.console import Console
from rich.table import Table

T = TypeVar("T")
P = ParamSpec("P")

TABLE_WIDTH = 200
_LIBRARIES = ("numpy", "grpcio", "protobuf", "sqlalchemy")


@dataclass(frozen=True)
class Spread:
    """Several measurements of one thing. Prints as `median [lowest..highest]`, with the format of a float."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of some values. Raises ValueError if there are none."""
        known = sorted(values)
        if not known:
            raise ValueError("nothing was measured")
        return cls(statistics.median(known), known[0], known[-1])

    def __format__(self, spec: str) -> str:
        return f"{self.median:{spec}} [{self.lowest:{spec}}..{self.highest:{spec}}]"


@dataclass(frozen=True)
class Figure:
    """A line of the table. `judged` is what `must` and `stretch` bind: the ratio, or the measured value itself."""

    name: str
    measured: str
    beside: str = ""
    """The peer's or the limit's figure, from the same run."""
    judged: float | None = None
    must: float | None = None
    stretch: float | None = None
    unit: str = "×"
    """Of `judged`, `must` and `stretch`."""
    more_is_better: bool = True

    @property
    def verdict(self) -> str:
        """Whether the goals are met; empty where there is none."""
        if self.judged is None or self.must is None:
            return ""
        if self.stretch is not None and self._meets(self.judged, self.stretch):
            return "stretch"
        return "met" if self._meets(self.judged, self.must) else "NOT MET"

    def _meets(self, value: float, goal: float) -> bool:
        return value >= goal if self.more_is_better else value <= goal

    def cells(self) -> list[str]:
        """The line, column by column."""
        sign = "≥" if self.more_is_better else "≤"
        goals = ["" if goal is None else f"{sign} {_number(goal)} {self.unit}" for goal in (self.must, self.stretch)]
        judged = "" if self.judged is None else f"{_number(self.judged)} {self.unit}"
        return [self.name, self.measured, self.beside, judged, *goals, self.verdict]


def print_table(title: str, figures: Sequence[Figure]) -> None:
    """Prints figures as a table."""
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "measured", "peer or limit, same run", "judged", "must", "stretch", "verdict"):
        table.add_column(heading, overflow="fold")
    for figure in figures:
        table.add_row(*figure.cells())
    Console(width=TABLE_WIDTH, highlight=False, markup=False).print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def cpu_seconds(*pids: int) -> float:
    """User and system CPU seconds that these processes have taken so far, all threads together; steps of 10 ms."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(one.user + one.system for one in times)


def rss_bytes(*pids: int) -> int:
    """Memory that these processes hold; this process if none is named."""
    return sum(int(psutil.Process(pid).memory_info().rss) for pid in pids or (os.getpid(),))


@contextmanager
def collector_off() -> Iterator[None]:
    """Keeps the garbage collector's pauses out of what is measured, as the product itself does."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def cpu_of(work: Callable[[], object]) -> float:
    """CPU seconds of this process, all threads, that `work` takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def repeated(work: Callable[[], object], count: int) -> Spread:
    """CPU seconds of `work`, done `count` times."""
    return Spread.of([cpu_of(work) for _ in range(count)])


def in_child(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a function in a fresh process, so that neither memory nor caches of another measurement are in it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *args, **kwargs).result()


def machine() -> str:
    """Processor, cores, memory, load and system, in one line."""
    memory = psutil.virtual_memory().total / 2**30
    load = os.getloadavg()[0]
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, load {load:.1f}, "
        f"{platform.system()} {platform.release()}"
    )


def versions(*others: str) -> str:
    """Python's and the libraries' versions in one line, with `others` appended."""
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    return ", ".join([f"CPython {platform.python_version()}", *libraries, *others])


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def say(text: str) -> None:
    """A line of progress."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)
