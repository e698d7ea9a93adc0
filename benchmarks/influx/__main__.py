"""Reading from InfluxDB: a poll of 100,000 series of a real 1.x, and the reader of 2.x's annotated CSV.

The server is Debian's, started for this with its defaults but for its limits on series; it and we share the machine.
Its answer isn't packed, since both are on one machine. What is measured is a poll for the points of one tick that was
just written: the whole as the evaluator does it, and its parts each alone, so that they overlap less than in the whole.
2.x has no package of its server, so for it only the reading of its answers is measured, on bytes in its format.
"""

import argparse
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path

from benchmarks.influx.parsing import parsing
from benchmarks.influx.polling import Run, polling
from benchmarks.measure import machine, print_table, versions
from tests.servers.influxdb import INFLUXD, influx_server

LIBRARIES = ("pyarrow", "aiohttp", "influxdb-client")
PARTS = ("polling", "parsing")


def main(arguments: list[str] | None = None) -> int:
    """The command. Returns 1 if there's no InfluxDB."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--polls", type=int, default=5)
    parser.add_argument("--sample", type=int, default=500, help="how many rules' own queries are asked")
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    parts = given.parts or PARTS
    if "polling" in parts and INFLUXD is None:
        print("InfluxDB isn't installed: apt-get install influxdb")
        return 1
    print(machine())
    if "polling" in parts and INFLUXD is not None:
        said = subprocess.run([INFLUXD, "version"], capture_output=True, text=True, check=True).stdout.strip()
        print(
            versions(
                *(f"{name} {version(name)}" for name in LIBRARIES),
                said,
                "inmem index, chunks of 10,000 rows, not packed",
            )
        )
        with tempfile.TemporaryDirectory() as folder, influx_server(Path(folder)) as server:
            print_table("polling InfluxDB 1.x", polling(server, Run(given.series, given.polls, given.sample)))
    if "parsing" in parts:
        print_table("reading InfluxDB 2.x's answers", parsing(given.series))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
