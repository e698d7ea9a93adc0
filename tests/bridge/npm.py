"""Commands that come from npm, each with the Node that it needs; npm's own cache keeps both."""

import fcntl
import subprocess
import tempfile
from functools import cache
from pathlib import Path

NODE = "node@22"
_INSTALL_SECONDS = 300
_LOCK = Path(tempfile.gettempdir()) / "monitors-tests-npm.lock"


@cache
def npm_command(package: str, command: str) -> list[str]:
    """How a pinned package's command is called. The first call on a machine installs it, which takes up to a minute."""
    script = f"command -v node && command -v {command}"
    npx = ["npx", "--yes", "--prefer-offline", "--package", NODE, "--package", package, "--call", script]
    # Two that install the same at once break each other's.
    with _LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(npx, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
    assert done.returncode == 0, done.stderr
    # The command is run by its path, so that it doesn't get the machine's older Node.
    return done.stdout.split()
