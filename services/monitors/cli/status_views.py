"""How `monitors status` is printed: one document, one page, or a page that stays where it is and changes."""

import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from google.protobuf.message import Message

from monitors.cli.documents import Document, duration_text, time_text
from monitors.cli.durations import format_age, format_rough, parse_duration
from monitors.cli.output import clean, console, facts_of, table_of, tell
from monitors.mesh.times import from_timestamp, now_nanos

if TYPE_CHECKING:
    from rich.console import RenderableType


@dataclass(frozen=True)
class Frame:
    """How the mesh fares at one moment: a document for each server that was asked, and what is wrong."""

    servers: list[Document]
    problems: list[str]

    @property
    def document(self) -> Document:
        """What `--json` prints: the server's own document, or what each says of itself."""
        healthy: Document = {"healthy": not self.problems}
        if len(self.servers) == 1:
            return {**self.servers[0], **healthy, "problems": self.problems}
        return {**healthy, "servers": self.servers, "problems": self.problems}


def status_document(message: Message) -> Document:
    """Every field of a status answer under its own name; times and durations as everywhere else."""
    document: Document = {}
    for field in message.DESCRIPTOR.fields:
        kind = field.message_type.name if field.message_type else ""
        if kind == "Timestamp":
            document[field.name] = time_text(message, field.name)
        elif kind == "Duration":
            document[field.name] = duration_text(message, field.name)
        else:
            value = getattr(message, field.name)
            document[field.name] = list(value) if field.is_repeated else value
    return document


def show_once(frame: Frame) -> None:
    """Prints it for people; problems as messages."""
    for part in _parts(frame, {}):
        console().print(part)
    for problem in frame.problems:
        tell(f"problem: {problem}")


def shown_live(frames: Iterable[Frame]) -> None:
    """Shows one after the other in the same place; where nobody sits at a terminal, each below the other."""
    from rich.console import Group
    from rich.live import Live
    from rich.text import Text

    before: dict[str, tuple[float, Document]] = {}
    terminal = console()
    # Without a terminal Live would print the last one alone.
    live = Live(console=terminal, auto_refresh=False, vertical_overflow="crop") if sys.stdout.isatty() else None
    with live or nullcontext():
        for frame in frames:
            now = time.monotonic()
            rates = {server["server"]: _rate(before.get(server["server"]), now, server) for server in frame.servers}
            before = {server["server"]: (now, server) for server in frame.servers}
            troubles = [Text(clean(f"problem: {problem}"), style="bold red") for problem in frame.problems]
            page = Group(Text(time.strftime("%H:%M:%S")), *_parts(frame, rates), *troubles)
            if live:
                live.update(page, refresh=True)
            else:
                terminal.print(page)


def _rate(before: tuple[float, Document] | None, now: float, server: Document) -> str:
    """Points a second since the last look; empty if there was none, or the evaluator has begun anew since."""
    if before is None:
        return ""
    then, former = before
    old, new = former["evaluator"], server["evaluator"]
    if not old or not new or old["start_time"] != new["start_time"]:
        return ""
    return f"{(new['accepted_point_count'] - old['accepted_point_count']) / (now - then):,.0f}"


def _parts(frame: Frame, rates: dict[str, str]) -> "list[RenderableType]":
    """The lines that say who serves, and the table of what they say."""
    parts: list[RenderableType] = []
    several = len(frame.servers) > 1
    rows: list[tuple[str, str, str]] = []
    for server in frame.servers:
        hosted = {name: state for name, state in server["services"].items() if not several or state != "absent"}
        parts.append(
            facts_of({"Server": server["server"], **{name.capitalize(): state for name, state in hosted.items()}})
        )
        for service in ("evaluator", "notifier"):
            title = f"{service} {server['server']}" if several else service
            rows += [(title, *row) for row in _rows(server[service] or {})]
            if service == "evaluator" and (rate := rates.get(server["server"])):
                rows.append((title, "points per second", rate))
    if rows:
        parts.append(table_of(("SERVICE", "WHAT", "VALUE"), rows, whole=()))
    return parts


def _rows(document: Document) -> list[tuple[str, str]]:
    # What is empty doesn't apply: a mesh that stores its points has no source.
    return [
        (name.replace("_", " "), _shown(name, value))
        for name, value in document.items()
        if value not in (None, "") and name != "problems"
    ]


def _shown(name: str, value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)}: {', '.join(map(str, value))}" if value else "none"
    if name.endswith("_duration"):
        return format_rough(parse_duration(str(value)))
    if not name.endswith("_time"):
        return str(value)
    from google.protobuf.timestamp_pb2 import Timestamp

    moment = Timestamp()
    moment.FromJsonString(str(value))
    return f"{moment.ToDatetime():%Y-%m-%dT%H:%M:%SZ}, {format_age(from_timestamp(moment), now_nanos())}"
