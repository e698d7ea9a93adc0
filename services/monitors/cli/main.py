"""The console script `monitors`: its commands and where they are."""

import os
from typing import Annotated

import typer

from monitors.cli import (
    alerts,
    channels,
    databases,
    deliveries,
    escalations,
    history,
    inhibitions,
    keys,
    mute_timings,
    routes,
    rules,
    secrets,
    silences,
)
from monitors.cli.audit import audit
from monitors.cli.failures import ExitCode, Failure, failures_told
from monitors.cli.importing.command import import_rules
from monitors.cli.monitors import list_monitors
from monitors.cli.preview import preview
from monitors.cli.rule_files import commands as rule_files
from monitors.cli.rule_tests import command as rule_tests
from monitors.cli.serve import serve, up
from monitors.cli.status import status
from monitors.cli.watch import watch
from monitors.mesh.secret_files import SecretsUnreadable, take_secret_files

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Alerting on time series: start the mesh, and ask or tell it things.",
    epilog="The mesh is found at MONITORS_SERVER (127.0.0.1:50051) with MONITORS_KEY (else $MONITORS_HOME/key).",
)
app.command()(up)
app.command()(serve)
app.command("list")(list_monitors)
app.add_typer(mute_timings.app, name="mute-timings")
app.add_typer(rules.app, name="rules")
rules.app.command("preview")(preview)
rules.app.command("export")(rule_files.export)
rules.app.command("apply")(rule_files.apply)
rules.app.command("test")(rule_tests.try_rules)
app.add_typer(alerts.app, name="alerts")
alerts.app.command("watch")(watch)
app.add_typer(channels.app, name="channels")
app.add_typer(databases.app, name="db")
app.add_typer(deliveries.app, name="deliveries")
app.add_typer(escalations.app, name="escalations")
app.add_typer(history.app, name="history")
app.add_typer(inhibitions.app, name="inhibitions")
app.add_typer(keys.app, name="keys")
app.add_typer(routes.app, name="routes")
app.add_typer(secrets.app, name="secrets")
app.add_typer(silences.app, name="silences")
app.command("import")(import_rules)
app.command()(audit)
app.command()(status)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"monitors {version('monitors-services')}")
        raise typer.Exit


@app.callback()
def monitors(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Alerting on time series: start the mesh, and ask or tell it things."""
    with failures_told():
        try:
            take_secret_files(os.environ)
        except SecretsUnreadable as error:
            raise Failure(str(error), ExitCode.USAGE) from None


def run() -> None:
    """Runs the command with the process's arguments."""
    app(prog_name="monitors")
