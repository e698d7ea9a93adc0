"""Secret variables out of files, as orchestrators mount them: what a process is started with is seen too easily."""

import re
from collections.abc import MutableMapping
from pathlib import Path

FOLDER = "MONITORS_SECRETS_DIR"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


class SecretsUnreadable(Exception):
    """The folder, or a file in it, can't be read. The message names it and the variable, and nothing that is in it."""


def take_secret_files(environment: MutableMapping[str, str]) -> None:
    """Adds to the environment what the files say that lie in the folder MONITORS_SECRETS_DIR, each named as a variable
    and without the line break at its end; what is set already stays. Without a folder nothing. Raises
    SecretsUnreadable."""
    folder = environment.get(FOLDER, "")
    if not folder:
        return
    try:
        files = [path for path in Path(folder).iterdir() if _VARIABLE.fullmatch(path.name) and path.is_file()]
        for path in files:
            environment.setdefault(path.name, path.read_text().rstrip("\r\n"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise SecretsUnreadable(
            f"{FOLDER}: {folder} can't be read ({reason}); name a folder with a file for each variable"
        ) from None
