"""`monitors secrets`: master keys, and what stands under which. For the operator, beside the notifier."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.options import AsJson
from monitors.cli.output import print_json, print_table, say, tell
from monitors.cli.serve import Home, read_settings

if TYPE_CHECKING:
    from monitors.mesh.config import Settings
    from monitors.notifier.rotation import Standing

app = typer.Typer(no_args_is_help=True, help="Master keys, for the operator: run it with the notifier's environment.")

T = TypeVar("T")


@app.command()
def status(home: Home = None, as_json: AsJson = False) -> None:
    """Show which master keys there are and how many rows each has sealed; exit code 1 if some can't be opened."""
    from monitors.app.secrets import look

    with failures_told():
        standing = _run(look, read_settings(home))
    if as_json:
        print_json({"keys": standing.keys, "rows": _rows(standing)})
    else:
        _show(standing)
    if set(standing.under) - set(standing.keys):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def rotate(
    home: Home = None,
    as_json: AsJson = False,
    give_up_lost: Annotated[
        bool, typer.Option("--give-up-lost", help="Have notifiers start though the key is lost that sealed first.")
    ] = False,
) -> None:
    """Seal everything with the first master key. The notifier may run; what was stopped goes on when it's run again."""
    from monitors.app.secrets import rotate as work

    with failures_told():
        rotated = _run(partial(work, give_up_lost=give_up_lost), read_settings(home))
    standing = rotated.standing
    if as_json:
        print_json({"resealed": rotated.resealed, "lost": rotated.lost, "keys": standing.keys, "rows": _rows(standing)})
    else:
        say(f"{rotated.resealed} sealed anew with {standing.keys[0]}")
        _show(standing)
        unused = [name for name in standing.keys[1:] if not standing.under[name]]
        if unused:
            names = ", ".join(unused)
            tell(f"No row stands under {names} any more. Links to the page may, until they're 10 minutes old.")
    if rotated.lost and give_up_lost:
        tell(f"{rotated.lost} can't be opened by any key: enter the secrets again of channels that say so")
    elif rotated.lost:
        tell(f"warning: {rotated.lost} can't be opened by any key and were left as they are")
        raise typer.Exit(ExitCode.FAILED)


def _run(work: "Callable[[Settings], T]", settings: "Settings") -> T:
    from monitors.app.lifetime import EXPECTED

    try:
        return work(settings)
    except EXPECTED as error:
        raise Failure(str(error)) from None


def _rows(standing: "Standing") -> dict[str, dict[str, int]]:
    return {table: dict(counted) for table, counted in standing.rows.items()}


def _show(standing: "Standing") -> None:
    tables = list(standing.rows)
    rows = [
        (
            name,
            "seals" if name == standing.keys[0] else "opens" if name in standing.keys else "missing",
            *(str(standing.rows[table].get(name, 0)) for table in tables),
        )
        for name in standing.under
    ]
    print_table(("KEY", "DOES", *(table.upper().replace("_", " ") for table in tables)), rows, whole=("KEY",))
