"""`monitors rules test`."""

from typing import Annotated

import typer

from monitors.cli.failures import ExitCode
from monitors.cli.options import AsJson


def try_rules(
    paths: Annotated[list[str], typer.Argument(metavar="FILE…", help="Files with tests, or folders of .yaml files.")],
    only: Annotated[str | None, typer.Option("--only", help="Only tests whose name contains this.")] = None,
    as_json: AsJson = False,
) -> None:
    """Try rules on made-up series, without a mesh: exits with 1 if one doesn't fire as its tests say."""
    # The evaluator takes time to load, and no other command needs it.
    from monitors.cli.rule_tests.reporting import run_tests

    if run_tests(paths, only or "", as_json=as_json):
        raise typer.Exit(ExitCode.FAILED)
