"""`monitors rules export` and `monitors rules apply`."""

from typing import Annotated

import typer

from monitors.cli.failures import ExitCode
from monitors.cli.options import AsJson, Yes

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
    # YAML takes time to load, and no other command needs it.
    from monitors.cli.rule_files.applying import apply_files

    differs = apply_files(paths, only_show=dry_run or check, prune=prune, adopt=adopt, yes=yes, as_json=as_json)
    if check and differs:
        raise typer.Exit(ExitCode.FAILED)


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
    from monitors.cli.rule_files.exporting import export_rules
    from monitors.cli.rule_files.reading import is_name

    if not is_name(namespace, "namespace"):
        raise typer.BadParameter("write lower-case letters, digits, `.`, `_` and `-`", param_hint="--namespace")
    export_rules(path, namespace, monitor, adopt=adopt, force=force)
