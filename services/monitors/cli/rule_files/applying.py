"""Makes the rules be as files say: shows what differs, asks, and does it."""

from monitors.cli.client import Mesh, connected
from monitors.cli.failures import ExitCode, Failure
from monitors.cli.options import confirm
from monitors.cli.output import print_json, say, warn
from monitors.cli.rule_files import views
from monitors.cli.rule_files.calls import made, rules_of, rules_without_key, told
from monitors.cli.rule_files.plan import Action, Change, change_of, note_problems, steps_of
from monitors.cli.rule_files.problems import Problems
from monitors.cli.rule_files.reading import RuleFile, find_files, read_files


def apply_files(paths: list[str], *, only_show: bool, prune: bool, adopt: bool, yes: bool, as_json: bool) -> bool:
    """Returns whether anything differed."""
    with connected() as mesh:
        changes = _planned(mesh, _rule_files(paths), prune=prune, adopt=adopt)
        todo = [change for change in changes if change.action is not Action.NOTHING]
        if not as_json:
            views.show_changes(changes)
            say(views.summary(changes) if todo else f"Nothing to change: {views.summary(changes)}.")
        warn(views.warnings(todo))
        wanted = bool(todo) and not only_show
        if wanted:
            confirm("Do that?", yes=yes)
            results = made(mesh, [change.step for change in todo])
            todo = [change_of(change.step, result) for change, result in zip(todo, results, strict=True)]
            if not as_json:
                say("Done.")
    if as_json:
        unchanged = [change for change in changes if change.action is Action.NOTHING]
        print_json(views.document([*todo, *unchanged], applied=wanted))
    return bool(todo)


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
