"""The packages as somebody installs them: wheels in a fresh environment, with the locked versions of what they need."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = {"monitors-protos": "protos", "monitors-mcp": "mcp_bridge", "monitors-services": "services"}
_SECONDS = 300


def uv(*arguments: str) -> str:
    """Runs uv and returns what it prints."""
    beside = Path(sys.executable).parent / "uv"
    command = str(beside) if beside.exists() else "uv"
    done = subprocess.run([command, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def build_wheel(package: str, folder: Path) -> Path:
    """Builds a wheel into `folder` unless it's there, from a copy, since building the contract writes beside its
    sources."""
    if built := list((folder / package).glob("*.whl")):
        return built[0]
    source = folder / f"{package}-source"
    shutil.copytree(ROOT / FOLDERS[package], source, ignore=shutil.ignore_patterns("*_pb2*", "__pycache__"))
    uv("build", "--quiet", "--wheel", "--out-dir", str(folder / package), str(source))
    (wheel,) = (folder / package).glob("*.whl")
    return wheel


@dataclass(frozen=True)
class Installation:
    """An environment with the wheels of some of our packages and what they need, and nothing else."""

    folder: Path

    @property
    def python(self) -> str:
        """Its interpreter."""
        return str(self.folder / "bin" / "python")

    def command(self, name: str) -> str:
        """The path of an installed command."""
        return str(self.folder / "bin" / name)

    def packages(self) -> set[str]:
        """The names of everything installed."""
        listed = uv("pip", "list", "--quiet", "--python", self.python, "--format", "json")
        return {package["name"] for package in json.loads(listed)}

    def size(self) -> int:
        """Bytes of all files, without what Python compiles."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and not path.is_symlink())
        return sum(path.stat().st_size for path in files if path.suffix != ".pyc")


def install(folder: Path, *packages: str, built: Path | None = None) -> Installation:
    """Makes an environment in `folder` from the wheels of `packages`, which come with those that they need of ours.
    They are built in `built`, if they aren't there, or else in the same folder."""
    wheels = [str(build_wheel(package, built or folder / "wheels")) for package in packages]
    locked = folder / "locked.txt"
    options = [option for package in packages for option in ("--package", package)]
    locked.write_text(uv("export", "--quiet", "--frozen", "--no-dev", "--no-emit-workspace", "--no-hashes", *options))
    made = Installation(folder / "environment")
    uv("venv", "--quiet", "--python", sys.executable, str(made.folder))
    uv("pip", "install", "--quiet", "--python", made.python, "--constraint", str(locked), *wheels)
    return made
