"""`python -m tests.rolling`: a rollout of every service under load, then the same while what is behind it fails."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.crash.backends import backends
from tests.harness import LoopThread
from tests.rolling.cluster import PARTS
from tests.rolling.world import World, running, told
from tests.servers.influxdb import influx_server


def roll_everything(world: World) -> None:
    """Every service, one after the other; certificates are renewed in between."""
    for part in PARTS:
        world.cluster.replace(part)
        world.cluster.renew_certificates()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pre-stop", type=float, default=5.0, help="seconds that a pod has before SIGTERM")
    parser.add_argument("--logs", type=Path, help="where to put what the pods have written")
    given = parser.parse_args()
    loop = LoopThread()
    with tempfile.TemporaryDirectory(prefix="monitors-rolling-") as folder, backends() as servers:
        home = Path(folder)
        with influx_server(home / "influx") as influx, running(home, loop, servers, influx, given.pre_stop) as world:
            try:
                world.start()
                roll_everything(world)
                world.settle()
                failed = [*world.callers.failed, *world.refused]
                sys.stdout.write(told(failed) + "\n" + str(world.callers.longest) + "\n")
                sys.stdout.write(world.check() + "\n")
            finally:
                if given.logs:
                    given.logs.write_text(world.cluster.logs())
    loop.close()


if __name__ == "__main__":
    main()
