"""Writes the rules of a namespace, and those made by hand, into a file."""

import sys
from pathlib import Path

from monitors.cli.client import connected
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.output import tell
from monitors.cli.rule_files.calls import rules_of, rules_without_key
from monitors.cli.rule_files.fields import entry_of
from monitors.cli.rule_files.writing import file_text, named


def export_rules(path: str, namespace: str, monitor: str | None, *, adopt: bool, force: bool) -> None:
    """`adopt` writes the rules made by hand as well."""
    with connected() as mesh:
        prefix = f"{namespace}/"
        known = rules_of(mesh, namespace)
        by_hand = rules_without_key(mesh) if adopt else []
        found = [(rule.key.removeprefix(prefix), rule) for rule in known]
        taken = [name for name, _ in found]
        listed = [(name, entry_of(rule)) for name, rule in found if monitor in (None, rule.monitor_id)]
        listed += named((rule for rule in by_hand if monitor in (None, rule.monitor_id)), taken)
        if not listed:
            hint = "" if adopt else "; --adopt writes those that were made by hand"
            raise Failure(f"there is no rule of the namespace {namespace!r}{hint}", ExitCode.NOT_FOUND)
        _write(path, file_text(namespace, listed), force=force)
    count, where = len(listed), "the standard output" if path == "-" else path
    tell(f"{count} rule{'' if count == 1 else 's'} written to {where}")


def _write(path: str, text: str, *, force: bool) -> None:
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        with Path(path).open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        raise Failure(
            f"{path} exists, and its comments and tests would be lost; name another file, or say --force",
            ExitCode.USAGE,
        ) from None
    except OSError as error:
        raise Failure(f"{path}: can't be written: {error.strerror}", ExitCode.USAGE) from None
