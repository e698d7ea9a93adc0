"""Moves what was committed from SQLite's write-ahead log into its file, beside the commits instead of within them."""

import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

PAUSE_SECONDS = 5.0
BREATH_SECONDS = 0.2
IDLE_SECONDS = 60.0
LIMIT_BYTES = 16 << 20
"""A log that is longer is emptied: it takes disk space, and a start after a crash reads all of it."""

PASSIVE = "PRAGMA wal_checkpoint(PASSIVE)"


class Checkpoints:
    """A thread that copies some seconds after a commit, sooner if the log is long, and empties the log when it's idle.

    `copy` runs a PASSIVE checkpoint, which waits for nobody and which nobody waits for, and says whether it got to the
    log's end: then the next commit writes over the log from its beginning, and it stays as long as it is. `empty` runs
    a TRUNCATE one in the writer's thread, between two transactions, and says whether it could: after a copy there's
    little left for it.
    """

    def __init__(self, name: str, log_file: Path, copy: Callable[[], bool], empty: Callable[[], bool]) -> None:
        self._log_file, self._copy, self._empty = log_file, copy, empty
        self._thread = threading.Thread(target=self._run, name=f"{name}-checkpoints", daemon=True)
        self._changed = threading.Condition()
        self._committed = False
        self._closed = False
        self._problem = ""

    def committed(self) -> None:
        """A transaction was committed; called by the writer's thread."""
        is_long = self._is_long()
        with self._changed:
            if not self._thread.ident:
                self._thread.start()
            if not self._committed or is_long:
                self._committed = True
                self._changed.notify()

    def close(self) -> None:
        """Ends the thread; SQLite itself empties the log when its last connection is closed."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident:
            self._thread.join()

    def _is_long(self) -> bool:
        try:
            return self._log_file.stat().st_size > LIMIT_BYTES
        except OSError:
            return False

    def _run(self) -> None:
        while self._wait(lambda: self._committed, None):
            self._wait(self._is_long, PAUSE_SECONDS)
            with self._changed:
                self._committed = False
            if not self._try_copy():
                continue
            idle = not self._wait(lambda: self._committed or self._is_long(), IDLE_SECONDS)
            if not self._closed and (idle or self._is_long()):
                self._try_empty()

    def _wait(self, condition: Callable[[], bool], seconds: float | None) -> bool:
        """Whether the condition came true in time, and not the end."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed or condition(), seconds) and not self._closed

    def _try_copy(self) -> bool:
        try:
            if not self._copy():
                # A commit came in between, as it does again and again if they come in step with the pauses. A log that
                # is never copied to its end grows until it is emptied, and the next one's pages are cleared anew.
                self._wait(lambda: False, BREATH_SECONDS)
                self._copy()
        except sqlite3.Error as error:
            # The commits themselves are safe in the log.
            if str(error) != self._problem:
                log.warning("%s can't be copied into its database, trying again: %s", self._log_file, error)
            self._problem = str(error)
            self._wait(lambda: False, PAUSE_SECONDS)
            with self._changed:
                self._committed = True
            return False
        self._problem = ""
        return True

    def _try_empty(self) -> None:
        try:
            emptied = self._empty()
        except sqlite3.Error as error:
            log.warning("%s can't be emptied, trying again: %s", self._log_file, error)
            emptied = False
        if not emptied:
            # Somebody reads from the log. The next commit finds it long again.
            self._wait(lambda: False, BREATH_SECONDS)
            with self._changed:
                self._committed = True
