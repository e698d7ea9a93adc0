"""`monitors serve …` as it is, or with caches that a short run fills, or with a notifier that leaks:
`python -m tests.soak.launcher serve notifier`."""

import os
import sys

from monitors.cli.main import run

SHORT = "MONITORS_SOAK_SHORT"
"""The variable that says that the caches are to be small, unless it's empty."""
SMALL_CACHE = 4 << 20
"""Bytes of pages that RuleService's writer keeps. It takes minutes to fill as many as it may keep otherwise."""


def _main() -> None:
    service = sys.argv[2]
    if service == "rules" and os.environ[SHORT]:
        from monitors.rules import main

        main.WRITE_CACHE = SMALL_CACHE
    if service == "notifier":
        from tests.soak.leaks import LEAK, put_in

        put_in(os.environ[LEAK])
    run()


if __name__ == "__main__":
    _main()
