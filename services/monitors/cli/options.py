"""Options that several commands share, and how their texts are read."""

from typing import Annotated

import typer

from monitors.cli.durations import parse_duration, parse_moment
from monitors.cli.failures import ExitCode, Failure
from monitors.mesh.times import now_nanos


def read_duration(text: str) -> int:
    """Nanoseconds; a usage error if it's no duration."""
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_moment(text: str) -> int:
    """Nanoseconds since 1970; a usage error if it's no time."""
    try:
        return parse_moment(text, now_nanos())
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def read_pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a mapping; a usage error for one without a name or `=`."""
    pairs = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise typer.BadParameter(f"{text!r} isn't NAME=VALUE", param_hint=option)
        pairs[name.strip()] = value
    return pairs


def filter_of(terms: dict[str, str | None], more: str = "") -> str:
    """The contract's filter: `name="value"` terms joined by AND, for those that are given."""
    parts = []
    for name, value in terms.items():
        if value is None:
            continue
        plain = value.replace("_", "").replace("-", "").isalnum()
        escaped = value.replace("\\", r"\\").replace('"', r"\"")
        parts.append(f"{name}={value}" if plain else f'{name}="{escaped}"')
    return " AND ".join([*parts, *([more] if more else [])])


def flag_text(flag: bool | None) -> str | None:
    """A three-valued flag as a filter's value."""
    return None if flag is None else str(flag).lower()


def confirm(question: str, *, yes: bool) -> None:
    """Asks a person at a terminal. A script must say --yes. Raises Failure."""
    import sys

    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("nothing was changed: there is no terminal to ask at; repeat it with --yes", ExitCode.USAGE)
    typer.confirm(question, abort=True, err=True)


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="How many at most.")]
PageToken = Annotated[str, typer.Option("--page-token", help="Go on from the `next_page_token` of the last answer.")]
Filter = Annotated[str, typer.Option("--filter", help="Further terms of the contract's filter, joined by AND.")]
