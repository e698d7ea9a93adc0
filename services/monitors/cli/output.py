"""What the command prints: results to stdout, as a document or for people; messages to stderr."""

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

# Emoji are joined with these two; every other format character could reorder or hide text.
JOINERS = "\u200c\u200d"
UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}
WIDTH_WITHOUT_TERMINAL = 100

SEVERITY_STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
STATE_STYLES = {
    "firing": "bold red", "resolved": "green", "acknowledged": "cyan", "snoozed": "yellow", "idle": "green",
    "serving": "green", "delivered": "green", "accepted": "green", "ok": "green", "dead": "bold red",
    "pending": "yellow", "in_flight": "yellow", "suppressed": "cyan",
}  # fmt: skip


def clean(text: str) -> str:
    """Foreign text on one line, without characters that would steer the terminal or hide what is said."""
    return "".join(
        " " if character in "\n\r\t" else "\ufffd" if _steers(character) else character for character in text
    )


def _steers(character: str) -> bool:
    return character not in JOINERS and unicodedata.category(character) in UNPRINTABLE


def print_json(document: Mapping[str, Any], *, compact: bool = False) -> None:
    """One JSON document; `compact` puts it on one line, for streams."""
    print(json.dumps(document, indent=None if compact else 2), flush=True)  # noqa: T201


def tell(message: str) -> None:
    """A message for whoever sits at the terminal; never part of the result."""
    print(clean(message), file=sys.stderr, flush=True)  # noqa: T201


def warn(warnings: Sequence[str]) -> None:
    """What the mesh says looks wrong but is allowed."""
    for warning in warnings:
        tell(f"warning: {warning}")


def console() -> "Console":
    """Stdout for people. Nothing in it is read as markup, and a pipe gets 100 columns."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL
    return Console(width=width, markup=False, highlight=False, emoji=False, soft_wrap=False)


def say(line: str, style: str = "") -> None:
    """One line of a result, however long."""
    from rich.text import Text

    console().print(Text(clean(line), style=style), soft_wrap=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ("ID",)) -> None:
    """A table of foreign texts; the columns named in `whole` are never broken, so that they can be copied."""
    console().print(table_of(columns, rows, whole=whole))


def table_of(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ("ID",)) -> "Table":
    """The table that `print_table` prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in whole, overflow="ignore" if column in whole else "fold")
    for row in rows:
        table.add_row(*(Text(clean(cell), style=_style(cell)) for cell in row))
    return table


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values, one line each; a fact without a value is left out."""
    console().print(facts_of(facts))


def facts_of(facts: Mapping[str, str]) -> "Table":
    """The lines that `print_facts` prints."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            cells: list[RenderableType] = [Text(name), Text(clean(value), style=_style(value))]
            table.add_row(*cells)
    return table


def _style(cell: str) -> str:
    # `firing (1)` is a state with its count; `pending count` is a name.
    return SEVERITY_STYLES.get(cell) or STATE_STYLES.get(cell.partition(" (")[0], "")


def format_number(value: float) -> str:
    """A measured value as a person would write it: `97.25`, `1500000`, `1e-09`."""
    return f"{value:.6g}" if abs(value) < 1e6 or abs(value) >= 1e15 else f"{value:.0f}"


def format_pairs(pairs: Mapping[str, str]) -> str:
    """Tags or labels: `cpu=0 host=a`."""
    return " ".join(f"{name}={value}" for name, value in sorted(pairs.items()))
