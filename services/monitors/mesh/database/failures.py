"""What goes wrong with databases, as callers and operators should see it."""

import sqlite3
from collections.abc import Mapping

from sqlalchemy.exc import DBAPIError

from monitors.mesh.errors import MeshError, StorageUnavailable


class DatabaseUnusable(Exception):
    """The database can't be opened. The message names it and the fix."""


class DatabaseAway(DatabaseUnusable):
    """It can't be reached now, which may mend itself."""


LOST = frozenset({0, 1053, 1927, 2006, 2013, 2014, 2055, 4031})
"""Codes of MySQL and MariaDB that say that a connection broke, or was broken off by the server."""
REFUSED = frozenset({1040, 1203, 1226, 2002, 2003, 2005})
"""That there is no connection to be had just now."""
CLASHED = frozenset({1205, 1213})
"""That two transactions stood in each other's way: the server has undone one of them."""

_AWAY = "the database can't be reached: see that it runs and that its address is right"
_FULL = "the database's disk is full: free some space on it"
_READ_ONLY = "the database is read-only: point the service at the primary, or make it writable again"
_DENIED = "the database refuses the user: check name and password in the database's URL"
_FORBIDDEN = "the database's user may not do this: grant it all privileges on its own database"
_OLD = "the database's tables aren't those of this version: run `monitors db upgrade`"
_BY_CODE: Mapping[int, str] = {
    **dict.fromkeys(LOST, "the connection to the database was lost"),
    **dict.fromkeys(REFUSED, _AWAY),
    **dict.fromkeys(CLASHED, "the database is busy"),
    **dict.fromkeys(
        (1040, 1203, 1226),
        "the database has no connection left: raise its max_connections, or lower MONITORS_DATABASE_CONNECTIONS",
    ),
    **dict.fromkeys((1044, 1142, 1143, 1227), _FORBIDDEN),
    **dict.fromkeys((1045, 1698), _DENIED),
    1049: "the server has no such database: create it, or correct the database's URL",
    **dict.fromkeys((1290, 1792, 1836), _READ_ONLY),
    **dict.fromkeys((3, 1021, 1026, 1030, 1114), _FULL),
    **dict.fromkeys((1037, 1038, 1041), "the database is out of memory"),
    **dict.fromkeys((1054, 1146), _OLD),
    **dict.fromkeys((1969, 3024), "the database took too long"),
    1153: "the database doesn't take as much at once: raise its max_allowed_packet to 64M",
}
_BY_NAME = (
    ("SQLITE_FULL", "the disk is full: free some space and try again"),
    ("SQLITE_READONLY", "the database is read-only: make its folder writable and try again"),
    ("SQLITE_IOERR", "the disk can't be read or written: check it and try again"),
    ("SQLITE_CANTOPEN", "the database can't be opened: check its folder and try again"),
    ("SQLITE_BUSY", "the database is busy: try again in a moment"),
    ("SQLITE_CORRUPT", "the database is damaged: stop the service and restore a backup"),
    ("SQLITE_NOTADB", "the database is damaged: stop the service and restore a backup"),
)


def unusable(error: DBAPIError, explanation: str) -> DatabaseUnusable:
    """What a database's error means when it's opened, with the explanation as its message."""
    is_away = code_of(error) in LOST | REFUSED
    return DatabaseAway(explanation) if is_away else DatabaseUnusable(explanation)


def code_of(error: BaseException) -> int | None:
    """The number that MySQL or MariaDB, or its driver, gave to an error; None if there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    # The driver is known by its name, so that it needn't be imported where it isn't used.
    if cause is None or not type(cause).__module__.startswith("pymysql"):
        return None
    code = cause.args[0] if cause.args else None
    return code if isinstance(code, int) else None


def storage_error(error: BaseException) -> MeshError | None:
    """A database error as the caller should see it; None if it isn't one, or one that is a fault of ours."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.DatabaseError):
        name = getattr(cause, "sqlite_errorname", "")
        what = next((what for prefix, what in _BY_NAME if name.startswith(prefix)), None)
    else:
        code = code_of(error)
        what = None if code is None else _BY_CODE.get(code)
    return None if what is None else StorageUnavailable(what)
