"""Log lines: to standard error for `serve`, to a file in the home folder for `up`, whose terminal is for people."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

# Alembic tells its plugins and dialect at INFO, every time.
TALKATIVE = ("alembic.runtime.plugins", "alembic.runtime.migration")
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"


def log_to_terminal() -> None:
    """Everything from INFO on, to standard error."""
    logging.basicConfig(level=logging.INFO, format=FORMAT, stream=sys.stderr)
    _quieten()


def log_to_file(path: Path) -> None:
    """Everything from INFO on to a file of at most 10 MB (three are kept), warnings to standard error too."""
    to_file = RotatingFileHandler(path, maxBytes=10_000_000, backupCount=2)
    to_file.setFormatter(logging.Formatter(FORMAT))
    to_terminal = logging.StreamHandler(sys.stderr)
    to_terminal.setLevel(logging.WARNING)
    to_terminal.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[to_file, to_terminal])
    _quieten()


def _quieten() -> None:
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
