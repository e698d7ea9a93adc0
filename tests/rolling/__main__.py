"""`python -m tests.rolling`: every service replaced, one after the other, while people and programs go on.

Certificates are renewed in between, so that connections go on, and are made, across it. Afterwards no call may have
failed, no alert may be lost or doubled, and no message may have come twice. `--disturb` does the same while master keys
are replaced, Redis is gone, and MariaDB and InfluxDB are restarted.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.crash.backends import backends
from tests.harness import LoopThread
from tests.rolling.cluster import PARTS, REPLICAS
from tests.rolling.disturbances import DISTURBANCES, OUTAGES, go_on, tolerated
from tests.rolling.world import running
from tests.servers.influxdb import influx_server


def run(
    folder: Path,
    loop: LoopThread,
    parts: Sequence[str] = PARTS,
    *,
    pods: int = REPLICAS,
    pre_stop: float = 5.0,
    logs: Path | None = None,
) -> str:
    """One rollout of some parts of the mesh, in that order, of all `pods` or the first; each has `pre_stop` seconds
    before it is told to end. Gives a line with what was counted. With `logs` that file has what the pods have written.

    Raises AssertionError if something failed, was lost, doubled or told twice.
    """
    with (
        backends() as servers,
        influx_server(folder / "influx") as influx,
        running(folder, loop, servers, influx, pre_stop) as world,
    ):
        try:
            world.start()
            for part in parts:
                world.cluster.replace(part, pods)
                world.cluster.renew_certificates()
            world.settle()
            return f"{', '.join(parts)} replaced: {world.check()}"
        finally:
            if logs:
                logs.write_text(world.cluster.logs())


def disturb(folder: Path, loop: LoopThread, names: Sequence[str], pre_stop: float) -> Iterator[str]:
    """What happens while each of some disturbances is done to what is behind the mesh: a line for each, and at the end
    one with what was counted.

    Raises AssertionError if a call failed for anything but an outage, or something was lost, doubled or told twice.
    """
    with (
        backends() as servers,
        influx_server(folder / "influx") as influx,
        running(folder, loop, servers, influx, pre_stop) as world,
    ):
        world.start()
        for name in names:
            if name in OUTAGES:
                with tolerated(world) as told:
                    DISTURBANCES[name](world)
                yield f"{name}: " + "\n  ".join(told)
            else:
                DISTURBANCES[name](world)
                go_on(world)
                yield f"{name}: {len(world.callers.failed)} calls failed"
        world.settle()
        yield world.check()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="a rollout of some parts of the mesh")
    parser.add_argument("--pre-stop", type=float, default=5.0, help="seconds that a pod has before SIGTERM")
    parser.add_argument("--logs", type=Path, help="where to put what the pods have written")
    parser.add_argument("--disturb", nargs="*", choices=sorted(DISTURBANCES), help="no rollout but these, or all")
    given = parser.parse_args()
    loop = LoopThread()
    with tempfile.TemporaryDirectory(prefix="monitors-rolling-") as folder:
        if given.disturb is not None:
            for line in disturb(Path(folder), loop, given.disturb or [*DISTURBANCES], given.pre_stop):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
            return
        sys.stdout.write(run(Path(folder), loop, given.only, pre_stop=given.pre_stop, logs=given.logs) + "\n")
    loop.close()


if __name__ == "__main__":
    main()
