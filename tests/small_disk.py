"""A small disk that a process of a test has mounted for itself, and that can be filled."""

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

NO_MOUNT = "needs the right to mount in a namespace of its own"


@cache
def can_mount() -> bool:
    """Whether a process of this user may mount in a namespace of its own."""
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
    return shutil.which("unshare") is not None and subprocess.run(command, capture_output=True).returncode == 0


@dataclass(frozen=True)
class Disk:
    """A small disk of the mesh's own, seen through the process that has it mounted."""

    folder: Path

    def fill(self) -> None:
        """Writes until there is no room."""
        with (self.folder / "filler").open("wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(bytes(4096))
            except OSError:
                return

    def free(self) -> None:
        """Gives the room back."""
        (self.folder / "filler").unlink()
