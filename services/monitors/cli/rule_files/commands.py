"""`monitors rules export` and `monitors rules apply`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from monitors.cli.client import Mesh, connected
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.options import AsJson, Yes, confirm
from monitors.cli.output import print_json, say, tell, warn
from monitors.cli.rule_files import views
from monitors.cli.rule_files.calls import made, rules_of, rules_without_key, told
from monitors.cli.rule_files.fields import entry_of
from monitors.cli.rule_files.plan import Action, Change, change_of, note_problems, steps_of
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import RuleFile, find_files, is_name, read_files
from monitors.cli.rule_files.writing import file_text, named

Paths = Annotated[
    list[str], typer.Argument(metavar="FILE…", help="Files, or folders of .yaml files; - is the standard input.")
]


def apply(
    paths: Paths,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and do nothing.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="As --dry-run, and exit with 1 if anything would be done.")
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Delete the rules of the files' namespaces that no file has.")
    ] = False,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Take over rules made by hand that have a file's monitor and title.")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make the rules be as files say: show what differs, ask, and do it all or not at all."""
    with connected() as mesh:
        changes = _planned(mesh, _rule_files(paths), prune=prune, adopt=adopt)
        todo = [change for change in changes if change.action is not Action.NOTHING]
        wanted = bool(todo) and not (dry_run or check)
        if not as_json:
            views.show_changes(changes)
            say(views.summary(changes) if todo else f"Nothing to change: {views.summary(changes)}.")
        warn(views.warnings(todo))
        if wanted:
            confirm("Do that?", yes=yes)
            results = made(mesh, [change.step for change in todo])
            todo = [change_of(change.step, result) for change, result in zip(todo, results, strict=True)]
            if not as_json:
                say("Done.")
    if as_json:
        unchanged = [change for change in changes if change.action is Action.NOTHING]
        print_json(views.document([*todo, *unchanged], applied=wanted))
    if check and todo:
        raise typer.Exit(ExitCode.FAILED)


def _rule_files(paths: list[str]) -> list[RuleFile]:
    """The files that have rules. Raises Failure with all that is wrong with them."""
    problems = Problems()
    files = [file for file in read_files(find_files(paths), problems) if file.namespace]
    problems.fail("nothing was changed")
    if not files:
        raise Failure("there are only tests in these files, no rules", ExitCode.USAGE)
    return files


def _planned(mesh: Mesh, files: list[RuleFile], *, prune: bool, adopt: bool) -> list[Change]:
    """What there is to do, as the mesh says. Raises Failure with all that it would refuse."""
    problems = Problems()
    namespaces = dict.fromkeys(file.namespace for file in files)
    known = [rule for namespace in namespaces for rule in rules_of(mesh, namespace)]
    steps = steps_of(files, known, rules_without_key(mesh) if adopt else (), problems, prune=prune)
    problems.fail("nothing was changed")
    results = told(mesh, steps)
    for step, result in zip(steps, results, strict=True):
        note_problems(step, result, problems)
    problems.fail("nothing was changed")
    return [change_of(step, result) for step, result in zip(steps, results, strict=True)]


def export(
    path: Annotated[str, typer.Argument(metavar="FILE", help="The file to write; - is the standard output.")],
    namespace: Annotated[str, typer.Option("--namespace", help="Whose rules: the part of their keys before the `/`.")],
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="Also those made by hand, with keys from their titles, for `apply --adopt`."),
    ] = False,
    monitor: Annotated[str | None, typer.Option("--monitor", help="Only of this monitor.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over a file, with its comments and tests.")] = False,
) -> None:
    """Write rules into a file that `apply` takes, without what is as it is by default."""
    if not is_name(namespace, "namespace"):
        raise typer.BadParameter("write lower-case letters, digits, `.`, `_` and `-`", param_hint="--namespace")
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
