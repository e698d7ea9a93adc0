"""Compares what fired in a test with what should have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from monitors.cli.durations import format_duration
from monitors.cli.output import format_number
from monitors.cli.rule_files.problems import Place
from monitors.cli.rule_tests.cases import AlertName, Case, Instant
from monitors.cli.rule_tests.course import Course
from monitors.cli.rule_tests.notation import format_span


@dataclass(frozen=True, slots=True)
class Difference:
    """What isn't as it should be: when, or of which alert, what was expected and what was got, and why."""

    place: Place
    subject: str
    expected: tuple[str, ...]
    got: tuple[str, ...]
    reasons: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a test went, and when each alert fired in it."""

    case: Case
    differences: tuple[Difference, ...]
    spans: Mapping[str, Sequence[str]]
    tried: frozenset[str]
    """The keys of the rules that were evaluated."""

    @property
    def passed(self) -> bool:
        """Whether all was as it should be."""
        return not self.differences


def judge(case: Case, course: Course, severities: Mapping[str, str], tried: frozenset[str]) -> Verdict:
    """Runs a test to its end. `severities` are those of the rules, by what the test calls them."""
    differences = []
    for instant in case.instants:
        course.advance(instant.time)
        if found := _at(case, course, instant, severities):
            differences.append(found)
    course.advance(case.until)
    spans = course.spans()
    if case.spans is not None:
        differences += _of_course(case, spans)
    told = {
        name.text(case.monitor): [
            format_span(start, end) + ("" if value is None else f" (value {format_number(value)})")
            for start, end, value in times
        ]
        for name, times in sorted(spans.items())
    }
    return Verdict(case, tuple(differences), told, tried)


def _at(case: Case, course: Course, instant: Instant, severities: Mapping[str, str]) -> Difference | None:
    got = {name: level or severities[name.rule] for name, level in course.firing().items()}
    wanted = {one.name: one.severity for one in instant.expected}
    # Who fires as it should, but isn't as bad, differs as well.
    wrong = {name for name in got.keys() & wanted.keys() if wanted[name] not in (None, got[name])}
    missing, unexpected = sorted((wanted.keys() - got.keys()) | wrong), sorted((got.keys() - wanted.keys()) | wrong)
    if not missing and not unexpected:
        return None

    def text(name: AlertName, severity: str | None) -> str:
        return f"{name.text(case.monitor)}{f' [{severity}]' if severity else ''}"

    return Difference(
        instant.place,
        f"at {format_duration(instant.time)}",
        tuple(text(name, wanted[name]) for name in missing),
        tuple(text(name, got[name] if name in wrong else None) for name in unexpected),
        {name.text(case.monitor): course.explanation(name) for name in missing + unexpected if name not in wrong},
    )


def _of_course(
    case: Case, spans: Mapping[AlertName, Sequence[tuple[int, int | None, float | None]]]
) -> list[Difference]:
    found = []
    expected = case.spans or {}
    for name in sorted({*expected, *spans}):
        wanted = tuple(format_span(*times) for times in expected[name].times) if name in expected else ()
        got = tuple(format_span(start, end) for start, end, _ in spans.get(name, ()))
        if wanted != got:
            place = expected[name].place if name in expected else case.place
            found.append(Difference(place, f"{name.text(case.monitor)} fires", wanted, got, {}))
    return found
