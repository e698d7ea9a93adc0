"""`python -m monitors.collectors host|check`: measures and writes until it's told to stop or its parent is gone.

The key comes from the environment (MONITORS_KEY), never from the command line, which everybody on the machine can read.
"""

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from monitors.collectors.running import run_checks, run_host
from monitors.collectors.targets import Target, parse_target

LONGEST_INTERVAL = 86_400.0


def main(arguments: Sequence[str]) -> int:
    """Runs the collector that the arguments name. Returns the exit code."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format=f"{options.collector} collector: %(message)s")
    key = os.environ.get("MONITORS_KEY", "").strip()
    if not (key and key.isascii() and key.isprintable()):
        sys.stderr.write("MONITORS_KEY isn't set to an API key; the local one is in $MONITORS_HOME/key\n")
        return 2
    if options.collector == "host":
        asyncio.run(run_host(options.url, key, options.monitor, options.interval))
    else:
        asyncio.run(run_checks(options.url, key, options.target, options.interval))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="python -m monitors.collectors", description=__doc__)
    commands = root.add_subparsers(dest="collector", required=True)
    host = commands.add_parser("host", help="measure this machine")
    check = commands.add_parser("check", help="ask URLs whether they are up")
    for command, interval in ((host, 1.0), (check, 10.0)):
        command.add_argument("--url", required=True, type=_endpoint, help="the write endpoint, http://127.0.0.1:8086")
        command.add_argument("--interval", type=_seconds, default=interval, help="seconds between measurements")
    host.add_argument("--monitor", default="mon_host", help="the monitor's id")
    check.add_argument("--target", required=True, type=_target, action="append", metavar="URL", help="repeatable")
    return root


def _endpoint(text: str) -> str:
    return _target(text).url


def _target(text: str) -> Target:
    try:
        return parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.05 <= seconds <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number of seconds from 0.05 to {LONGEST_INTERVAL:.0f}")
    return seconds


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
