"""`monitors up` and `monitors serve`: they start the mesh; everything else speaks to it."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from monitors.cli.failures import ExitCode, Failure, failures_told

if TYPE_CHECKING:
    from monitors.mesh.config import Settings


class Service(StrEnum):
    """A service of the mesh."""

    RULES = "rules"
    EVALUATOR = "evaluator"
    NOTIFIER = "notifier"


Home = Annotated[Path | None, typer.Option("--home", help="Where its state is kept, instead of MONITORS_HOME.")]


def up(
    check: Annotated[list[str] | None, typer.Option("--check", metavar="URL", help="Watch a URL; repeatable.")] = None,
    no_host: Annotated[bool, typer.Option("--no-host", help="Don't measure this machine.")] = False,
    mcp: Annotated[bool, typer.Option("--mcp", help="Also serve MCP over HTTP.")] = False,
    home: Home = None,
) -> None:
    """Start the whole mesh with its collectors. Ctrl-C ends it."""
    with failures_told():
        settings = read_settings(home)
        checks = [checked_url(url) for url in check or ()]
        from monitors.app.up import run_up

        raise typer.Exit(run_up(settings, checks=checks, host=not no_host, mcp=mcp))


def serve(service: Annotated[Service, typer.Argument(case_sensitive=False)], home: Home = None) -> None:
    """Start one service, found by the others at the addresses in the environment."""
    with failures_told():
        settings = read_settings(home)
        from monitors.app.serve import run_serve

        raise typer.Exit(run_serve(settings, service.value))


def read_settings(home: Path | None) -> "Settings":
    """The environment's settings, with another home if one is given. Raises Failure."""
    from monitors.mesh.config import BadSetting, load_settings

    environment = dict(os.environ)
    if home is not None:
        environment["MONITORS_HOME"] = str(home.expanduser().absolute())
    try:
        return load_settings(environment)
    except BadSetting as error:
        raise Failure(str(error), ExitCode.USAGE) from None


def checked_url(url: str) -> str:
    """The URL, if the collector can watch it. A usage error otherwise."""
    from monitors.collectors.targets import parse_target

    try:
        return parse_target(url).url
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--check") from None
