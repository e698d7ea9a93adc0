"""Log lines: to standard error for `serve`, to a file in the home folder for `up`, whose terminal is for people.

As text, or as one JSON object a line for whoever collects logs. Either way what looks like a secret is masked, whoever
wrote it: a library's error may quote the URL that it was given.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from opentelemetry.trace import get_current_span

from monitors.mesh.masking import without_secrets

# Alembic tells its plugins and dialect at INFO, every time.
TALKATIVE = ("alembic.runtime.plugins", "alembic.runtime.migration")
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


class TextLines(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the lines of an error's traceback."""
        return without_secrets(super().format(record))


class JsonLines(logging.Formatter):
    """Lines for machines: `time`, `level`, `logger`, `message`, and where there are any `error` (the traceback),
    `trace_id` and `span_id`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        time = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": f"{time:%Y-%m-%dT%H:%M:%S}.{time.microsecond // 1000:03d}Z",
            "level": record.levelname,
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))
        place = get_current_span().get_span_context()
        if place.is_valid:
            line |= {"trace_id": f"{place.trace_id:032x}", "span_id": f"{place.span_id:016x}"}
        return json.dumps(line, ensure_ascii=False)


def log_to_terminal(kind: str) -> None:
    """Everything from INFO on, to standard error, as `text` or `json`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(kind))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    _quieten()


def log_to_file(path: Path, kind: str) -> None:
    """Everything from INFO on to a file of at most 10 MB (three are kept), as `text` or `json`; warnings to standard
    error too."""
    to_file = RotatingFileHandler(path, maxBytes=10_000_000, backupCount=2)
    to_file.setFormatter(_formatter(kind))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    to_terminal.setFormatter(TextLines("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal])
    _quieten()


def _formatter(kind: str) -> logging.Formatter:
    return JsonLines() if kind == "json" else TextLines(FORMAT)


def _quieten() -> None:
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
