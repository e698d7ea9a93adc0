"""What is said of a soak: a table, and what has grown though it mustn't."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from tests.soak.watch import BEHIND, HELD, LOGS, Courses

MAY_GROW = {
    "RSS": 8.0, "files": 3.0, "sockets": 5.0, "threads": 3.0, "tasks": 10.0,
    **dict.fromkeys((*BEHIND, "time to tell"), 10.0), "unrecorded transitions": 500.0,
    LOGS: 16.0,
}  # fmt: skip
"""By how many megabytes, pieces or seconds a thing may grow while it's watched, however long that is: what still warms
up, or is there for a moment. A leak grows without end, and a longer run finds it. 8 MB in a minute and a half are a
kilobyte for each transition, or five bytes for each point."""


@dataclass(frozen=True)
class Report:
    """What a soak has shown."""

    courses: Courses
    points: int
    """How many came while it was watched."""
    transitions: int
    """How many were told while it was watched."""
    told: int
    """How many messages came in all, each of one transition."""
    lost: int
    """How many transitions nobody was told of."""
    twice: int
    """How many messages came once too often."""
    files: Mapping[str, tuple[int, int]]
    """The bytes of each database, when it began to be watched and at the end."""

    def complaints(self) -> list[str]:
        """What is wrong; empty if all is well."""
        grown = [
            f"{where}: {name} grows by at least {course.grown:,.1f} in {course.trend.hours * 60:.1f} minutes, "
            f"{MAY_GROW[name]:g} may be: {course.trend} an hour"
            for (where, name), course in self.courses.items()
            if name in MAY_GROW and course.grown > MAY_GROW[name]
        ]
        return grown + ([f"{self.lost} transitions were never told"] if self.lost else [])

    def __str__(self) -> str:
        console = Console(width=160, highlight=False, markup=False, file=io.StringIO())
        for table in (self._processes(), self._behind(), self._databases()):
            console.print(table)
        console.print(f"{self.told:,} transitions told, {self.lost} lost, {self.twice} told twice")
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    @property
    def _services(self) -> list[str]:
        return [where for where, name in self.courses if name == "RSS"]

    def _processes(self) -> Table:
        table = Table("process", "RSS start", "end", "MB an hour", "steadily, MB", "CPU")
        for name in HELD[1:]:
            table.add_column(f"{name}, an hour")
        for service in self._services:
            memory, cpu = self.courses[service, "RSS"], self.courses[service, "CPU"]
            others = [self.courses[service, name] for name in HELD[1:]]
            table.add_row(
                service, f"{memory.values[0]:,.1f}", f"{memory.values[-1]:,.1f}", str(memory.trend),
                f"{memory.grown:+,.1f}, at most {MAY_GROW['RSS']:g}", f"{cpu.trend.slope / 36:.1f} %",
                *[f"{one.values[0]:.0f} → {one.values[-1]:.0f}, {one.trend}" for one in others],
            )  # fmt: skip
        return table

    def _behind(self) -> Table:
        table = Table("of the mesh", "median", "most", "an hour")
        for (where, name), course in self.courses.items():
            if where == "mesh":
                ordered = sorted(course.values)
                table.add_row(name, f"{ordered[len(ordered) // 2]:.2f}", f"{ordered[-1]:.2f}", str(course.trend))
        return table

    def _databases(self) -> Table:
        table = Table("database", "MB at first", "at the end", "bytes a point", "bytes a transition")
        for name, (first, last) in self.files.items():
            grown = last - first
            per = [f"{grown / count:,.1f}" if count else "" for count in (self.points, self.transitions)]
            table.add_row(name, f"{first / 2**20:,.1f}", f"{last / 2**20:,.1f}", *per)
        return table
