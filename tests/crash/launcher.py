"""`monitors serve …` as it is, but with waits scaled down, and maybe with something taken out of it on purpose.

`python -m tests.crash.launcher serve notifier`; `MONITORS_CRASH_BREAK` names what the service has to do without, which
the crash test must find out.
"""

import os
import sys
from importlib import import_module

from monitors.cli.main import run
from tests.crash.failpoints import put_in

BREAK = "MONITORS_CRASH_BREAK"


def _main() -> None:
    launched = import_module(f"tests.crash.launched.{sys.argv[2]}")
    launched.scale_down()
    put_in(launched.POINTS)
    if wanted := launched.BREAKS.get(os.environ[BREAK]):
        wanted()
    run()


if __name__ == "__main__":
    _main()
