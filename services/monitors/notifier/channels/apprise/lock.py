"""What the process in which Apprise runs can't do any more, whatever a URL makes Apprise do.

The interpreter tells of what it's about to do (PEP 578), and is refused: to connect anywhere but to an address that is
allowed, to start a process, to write a file, and to read one that isn't a part of the program.
"""

import os
import resource
import socket
import sys
from ipaddress import ip_address
from pathlib import Path

from monitors.mesh.addresses import may_connect

CPU_SECONDS = 10
MEMORY = 2 << 30
FILES = 64
_SENDING = ("socket.connect", "socket.sendto", "socket.sendmsg")
_STARTING = ("os.", "subprocess.", "pty.", "syslog.", "ctypes.")
# Of these events of the module `os` nothing comes that matters.
_HARMLESS = frozenset({"os.listdir", "os.scandir", "os.walk", "os.putenv", "os.unsetenv", "os.fwalk"})
_READABLE = ("/usr/share/zoneinfo", "/etc/mime.types", "/etc/localtime", "/etc/ssl", "/usr/lib/ssl", "/dev/urandom")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def limit_resources() -> None:
    """Lets the process have so much time, memory and files, and leave nothing behind."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class Lock:
    """Locks the process as long as it lives. `refused` is what was tried to be reached in vain."""

    def __init__(self, *, allow_local: bool) -> None:
        self.refused = 0
        self._allow_local = allow_local
        found = {str(Path(each).resolve()) for each in (*sys.path, sys.prefix, sys.base_prefix, *_READABLE) if each}
        self._readable = frozenset(found)
        self._folders = tuple(f"{each}/" for each in found)
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in _SENDING:
            # The first argument is the socket.
            self._check_address(arguments[0], arguments[1])
        elif event == "socket.bind" or (event.startswith(_STARTING) and event not in _HARMLESS):
            raise PermissionError(f"{event} isn't allowed here")
        elif event == "open":
            self._check_file(arguments[0], arguments[2])

    def _check_address(self, opened: object, address: object) -> None:
        known = isinstance(opened, socket.socket) and opened.family in (socket.AF_INET, socket.AF_INET6)
        try:
            # A name that isn't looked up yet is no address, and what it leads to isn't known.
            allowed = known and isinstance(address, tuple) and may_connect(ip_address(address[0]), self._allow_local)
        except (ValueError, IndexError):
            allowed = False
        if not allowed:
            self.refused += 1
            raise PermissionError("the address isn't allowed")

    def _check_file(self, path: object, flags: object) -> None:
        if isinstance(path, int):
            return
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        writes = not isinstance(flags, int) or bool(flags & _WRITING)
        if writes or not isinstance(path, str) or not self._is_readable(os.path.realpath(path)):
            raise PermissionError("the file isn't readable here")

    def _is_readable(self, path: str) -> bool:
        return path in self._readable or path.startswith(self._folders)
