"""`python -m tests.rolling`: every service replaced, one after the other, while people and programs go on.

Certificates are renewed in between, so that connections go on, and are made, across it. Afterwards no call may have
failed, no alert may be lost or doubled, and no message may have come twice.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.crash.backends import backends
from tests.harness import LoopThread
from tests.rolling.cluster import PARTS, REPLICAS
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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS, help="all of them if none is named")
    parser.add_argument("--pre-stop", type=float, default=5.0, help="seconds that a pod has before SIGTERM")
    parser.add_argument("--logs", type=Path, help="where to put what the pods have written")
    given = parser.parse_args()
    loop = LoopThread()
    with tempfile.TemporaryDirectory(prefix="monitors-rolling-") as folder:
        sys.stdout.write(run(Path(folder), loop, given.parts or PARTS, pre_stop=given.pre_stop, logs=given.logs) + "\n")
    loop.close()


if __name__ == "__main__":
    main()
