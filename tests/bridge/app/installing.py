"""Brings what the browser tests need and the machine may lack: Chromium, and a host's libraries from npm.

Both are kept outside the repository, in the user's cache, and brought once.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "monitors-tests"
COMMANDS = ("chromium", "chromium-browser", "google-chrome")
LOCKED = ("package.json", "package-lock.json")


class NotToBeHad(Exception):
    """Something can't be brought. The message says what, and how to get it."""


@dataclass(frozen=True)
class Chromium:
    """A browser to start, and the environment variables that it needs."""

    executable: Path
    environment: Mapping[str, str] = field(default_factory=dict)


def find_chromium() -> Chromium:
    """The one on the path, or Debian's, with the libraries that this machine lacks; unpacked, not installed.

    Raises NotToBeHad.
    """
    for command in COMMANDS:
        found = shutil.which(command)
        if found:
            return Chromium(Path(found))
    with _made(CACHE / "chromium") as folder:
        if folder:
            _unpack_debian("chromium", folder)
    root = CACHE / "chromium"
    libraries = sorted({str(path.parent) for path in root.glob("usr/lib/*-linux-gnu*/**/*.so*")})
    return Chromium(root / "usr/lib/chromium/chromium", {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)})


def _unpack_debian(package: str, folder: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NotToBeHad(f"there is no {package} on the path, and no apt-get to bring it; install {package}")
    wanted = _missing(package)
    if not wanted and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=True, capture_output=True)
        wanted = _missing(package)
    if not wanted:
        raise NotToBeHad(f"apt-get knows no {package}; run `apt-get update` as root, or install {package}")
    _run(["apt-get", "download", "-qq", *wanted], folder)
    for archive in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", archive.name, "."], folder)
        archive.unlink()


def _missing(package: str) -> list[str]:
    """The package and those of its dependencies that this machine lacks."""
    simulated = ["apt-get", "install", "--simulate", "--no-install-recommends", package]
    done = subprocess.run(simulated, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C"})
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("Inst ")]


def bundle_host(folder: Path) -> str:
    """The script of the host page, with the official libraries in it, made in `folder`. Raises NotToBeHad."""
    lock = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LOCKED)).hexdigest()[:16]
    with _made(CACHE / f"npm-{lock}") as packages:
        if packages:
            _install_npm(packages)
    modules = CACHE / f"npm-{lock}" / "node_modules"
    bundle = folder / "host.js"
    command = [str(modules / ".bin/esbuild"), str(HERE / "host.js"), "--bundle", "--minify", f"--outfile={bundle}"]
    _run([*command, "--log-level=warning"], folder, {"NODE_PATH": str(modules)})
    return bundle.read_text(encoding="utf-8")


def _install_npm(folder: Path) -> None:
    if not shutil.which("npm"):
        raise NotToBeHad("there is no npm on the path to bring the host's libraries; install Node.js 20 or later")
    for name in LOCKED:
        shutil.copy(HERE / name, folder)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def _run(command: list[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env={**os.environ, **(environment or {})}
    )
    if done.returncode:
        raise NotToBeHad(f"`{' '.join(command[:3])} …` failed: {(done.stderr or done.stdout).strip()[-500:]}")


@contextmanager
def _made(folder: Path) -> Iterator[Path | None]:
    """A new folder to fill, which becomes `folder` when that is done; None if it's there already.

    Tests that run at once wait for each other.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            yield None
            return
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            filling = Path(temporary) / "new"
            filling.mkdir()
            yield filling
            filling.rename(folder)
