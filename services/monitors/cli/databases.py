"""`monitors db`: the tables of RuleService and of the notifier. For the operator, before services are replaced."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.options import AsJson
from monitors.cli.output import print_json, print_table
from monitors.cli.serve import Home, read_settings

if TYPE_CHECKING:
    from monitors.app.databases import Standing
    from monitors.mesh.config import Settings

app = typer.Typer(
    no_args_is_help=True, help="The databases' tables, for the operator: run it with the services' environment."
)


@app.command()
def upgrade(home: Home = None, as_json: AsJson = False) -> None:
    """Bring the tables of both services to this version. Services of the version before may go on running."""
    from monitors.app.databases import upgrade as work

    _run(work, home, as_json)


@app.command()
def check(home: Home = None, as_json: AsJson = False) -> None:
    """Show the tables' versions; exit code 1 if services of this version wouldn't start with them."""
    from monitors.app.databases import check as work

    _run(work, home, as_json)


def _run(work: "Callable[[Settings], list[Standing]]", home: Home, as_json: bool) -> None:
    from monitors.app.lifetime import EXPECTED

    with failures_told():
        try:
            standings = work(read_settings(home))
        except EXPECTED as error:
            raise Failure(str(error)) from None
    if as_json:
        print_json({one.service: {"version": one.version, "newest": one.newest} for one in standings})
    else:
        rows = [(one.service, one.version or "none", one.newest, one.problem or "can be used") for one in standings]
        print_table(("SERVICE", "VERSION", "NEWEST", "STATE"), rows, whole=("SERVICE",))
    if any(one.problem for one in standings):
        raise typer.Exit(ExitCode.FAILED)
