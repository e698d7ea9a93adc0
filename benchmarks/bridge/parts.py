"""The parts of the benchmark and the lines of the table that each gives."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.bridge.calls import Calls, measure_calls
from benchmarks.bridge.cancelling import measure_cancelling
from benchmarks.bridge.installs import measure_installs
from benchmarks.measure import Figure


@dataclass(frozen=True)
class Run:
    """How much is measured."""

    starts: int = 10
    calls: int = 1_000
    cancellations: int = 20


def installs(run: Run) -> list[Figure]:
    """Weight, start and definitions, beside everything in one environment."""
    alone, everything = measure_installs(run.starts)
    return [
        Figure("installed packages", f"{alone.packages}", f"all in one {everything.packages}"),
        Figure("installed size", f"{alone.size / 1e6:.0f} MB", f"all in one {everything.size / 1e6:.0f} MB"),
        Figure(
            "cold start, stdio, until tools/list is answered", f"{alone.start:.2f} s",
            f"all in one {everything.start:.2f} s",
            judged=alone.start.median, must=1.2, stretch=0.8, unit="s", more_is_better=False,
        ),
        Figure(
            "definitions of the six tools", f"{alone.tokens:,.0f} tokens", "compact JSON, bytes / 4",
            judged=alone.tokens, must=2_500, unit="tokens", more_is_better=False,
        ),
    ]  # fmt: skip


def calls(run: Run) -> list[Figure]:
    """What a call costs over the bare gRPC call."""
    alone, crowded = measure_calls(run.calls, (1, 8))
    return [*_lines(alone, None, None), *_lines(crowded, 6, 40)]


def _lines(measured: Calls, p50: float | None, p99: float | None) -> list[Figure]:
    bare, http = measured.grpc, measured.http
    where = f"list_alert_rules, {measured.concurrency} at once"
    failed = bare.errors + http.errors + measured.stdio.errors
    return [
        Figure(
            f"{where}, HTTP: p50 over the bare call", str(http), f"gRPC {bare}",
            judged=http.p50 - bare.p50, must=p50, stretch=p50 and p50 / 2, unit="ms", more_is_better=False,
        ),
        Figure(
            f"{where}, HTTP: p99 over the bare call", f"p99 {http.p99:.1f} ms", f"gRPC p99 {bare.p99:.1f} ms",
            judged=http.p99 - bare.p99, must=p99, stretch=p99 and p99 / 2, unit="ms", more_is_better=False,
        ),
        Figure(f"{where}, stdio, with the SDK's client", str(measured.stdio), f"gRPC {bare}"),
        Figure(
            f"{where}: failed calls", f"{failed}", "of as many by each way", judged=failed, must=0, unit="calls",
            more_is_better=False,
        ),
    ]  # fmt: skip


def cancelling(run: Run) -> list[Figure]:
    """How soon a cancelled call has ended in the mesh."""
    return [
        Figure(
            f"cancelled call ended in the mesh, {way}", f"{spread:.1f} ms", "and the next call worked",
            judged=spread.highest, must=500, stretch=50, unit="ms", more_is_better=False,
        )
        for way, spread in measure_cancelling(run.cancellations).items()
    ]  # fmt: skip


PARTS: dict[str, Callable[[Run], list[Figure]]] = {"installs": installs, "calls": calls, "cancelling": cancelling}
