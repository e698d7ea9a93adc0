"""Reads the tests of a rule file: strictly, with all problems at once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import NamedTuple

from monitors.cli.choices import Severity
from monitors.cli.durations import parse_moment
from monitors.cli.rule_files.fields import Unfit, read_nanos, read_text
from monitors.cli.rule_files.nodes import Entries, Items, Node, Scalar
from monitors.cli.rule_files.problems import Place, Problems
from monitors.cli.rule_tests.notation import format_name, parse_name, parse_span, parse_values
from monitors.mesh.times import MINUTE, SECOND

SETTINGS = ("name", "monitor", "start", "interval", "until", "rules", "series", "firing", "intervals")
MONITOR_TAG = "monitor_id"
"""What names the monitor of a series, as in line protocol."""
START = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND


class AlertName(NamedTuple):
    """An instance of a rule; `tags` are sorted."""

    rule: str
    monitor: str
    tags: tuple[tuple[str, str], ...]

    def text(self, monitor: str) -> str:
        """As a test says it whose monitor that is."""
        own = {} if self.monitor == monitor else {MONITOR_TAG: self.monitor}
        return format_name(self.rule, {**own, **dict(self.tags)})


@dataclass(frozen=True, slots=True)
class MadeSeries:
    """A series and its points: nanoseconds after the start, and values. `until` is where it ends, gaps included."""

    monitor: str
    measurement: str
    field: str
    tags: tuple[tuple[str, str], ...]
    points: tuple[tuple[int, float], ...]
    until: int


@dataclass(frozen=True, slots=True)
class Expected:
    """An alert that should fire at an instant, with a severity if that was said."""

    name: AlertName
    severity: str | None = None


@dataclass(frozen=True, slots=True)
class Instant:
    """Who should fire at a time after the start: these and nobody else."""

    time: int
    place: Place
    expected: tuple[Expected, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """When an alert should fire from beginning to end, all its times."""

    place: Place
    times: tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Case:
    """A test. `rules` limits it to some; `spans` is None if the whole course isn't looked at."""

    name: str
    place: Place
    monitor: str
    start: int
    until: int
    series: tuple[MadeSeries, ...]
    rules: Mapping[str, Place]
    instants: tuple[Instant, ...]
    spans: Mapping[AlertName, Span] | None
    mentioned: Mapping[str, Place] = field(default_factory=dict)
    """The rules that are named anywhere, each with a place of it."""


def read_cases(node: Node, default_monitor: str, names: Mapping[str, str], problems: Problems) -> list[Case]:
    """The tests of a file. `default_monitor` is that of the series of a test that names none, empty if none is; `names`
    are what rules are called, by their whole keys, which may be said as well."""
    if not isinstance(node, Items):
        problems.add(node.place, "tests: must be a list; write `- name: …` for each test")
        return []
    cases = []
    for number, item in enumerate(node.items, 1):
        if isinstance(item, Entries):
            if case := _Reader(item, default_monitor, f"test {number}", names, problems).case():
                cases.append(case)
        else:
            problems.add(item.place, "a test must be names and values, such as `- name: it fires when it is hot`")
    return cases


class _Reader:
    """Reads one test."""

    def __init__(
        self, node: Entries, default_monitor: str, name: str, names: Mapping[str, str], problems: Problems
    ) -> None:
        self._node, self._problems, self._name, self._names = node, problems, name, names
        self._mentioned: dict[str, Place] = {}
        self._monitor = default_monitor
        self._before = len(problems.told)

    def case(self) -> Case | None:
        node = self._node
        for name in node.entries.keys() - set(SETTINGS):
            self._problems.unknown(node.places[name], name, SETTINGS)
        self._name = self._text("name") or self._name
        self._monitor = self._text("monitor") or self._monitor
        start, interval, until = self._start(), self._nanos("interval", MINUTE), self._nanos("until", 0)
        if not interval:
            self._add(node.places["interval"], "interval: must be more than 0s")
        series = tuple(self._series(interval))
        instants = tuple(sorted(self._instants(), key=lambda one: one.time))
        spans = dict(self._spans()) if "intervals" in node.entries else None
        if not instants and spans is None:
            self._add(node.place, "expects nothing; say who fires at which time in `firing` or `intervals`")
        rules = dict(self._rules())
        times = [*(one.until for one in series), *(one.time for one in instants)]
        times += [time for span in (spans or {}).values() for pair in span.times for time in pair if time is not None]
        if until and times and max(times) > until:
            self._add(node.places["until"], "until: something is said of a later time; leave it out or make it later")
        if len(self._problems.told) > self._before:
            return None
        end = until or max(times)
        return Case(
            self._name, node.place, self._monitor, start, end, series, rules, instants, spans, self._mentioned
        )  # fmt: skip

    def _add(self, place: Place, text: str) -> None:
        self._problems.add(place, f"{self._name}: {text}")

    def _text(self, name: str) -> str:
        node = self._node.entries.get(name)
        if node is None:
            return ""
        try:
            return read_text(node)
        except Unfit as error:
            self._add(node.place, f"{name}: {error}")
            return ""

    def _nanos(self, name: str, default: int) -> int:
        node = self._node.entries.get(name)
        if node is None:
            return default
        try:
            return read_nanos(node)
        except Unfit as error:
            self._add(node.place, f"{name}: {error}")
            return default

    def _start(self) -> int:
        text = self._text("start")
        try:
            return parse_moment(text, START) if text else START
        except ValueError:
            self._add(self._node.places["start"], f"start: {text[:40]!r} isn't a time; write `2026-03-01T08:00:00Z`")
            return START

    def _rules(self) -> Iterator[tuple[str, Place]]:
        node = self._node.entries.get("rules")
        for item in self._items(node, "rules"):
            if isinstance(item, Scalar):
                yield self._mention(item.text, item.place), item.place
            else:
                self._add(item.place, "rules: must be a list of keys, such as [cpu-is-hot]")

    def _items(self, node: Node | None, name: str) -> list[Node]:
        if node is None or (isinstance(node, Scalar) and node.is_null):
            return []
        if isinstance(node, Scalar):
            return [node]
        if isinstance(node, Items):
            return node.items
        self._add(node.place, f"{name}: must be a list")
        return []

    def _named(self, name: str, form: str) -> Iterator[tuple[str, Place, Node]]:
        """The entries of a part of the test, which may be left out."""
        node = self._node.entries.get(name)
        if isinstance(node, Entries):
            for key, value in node.entries.items():
                yield key, node.places[key], value
        elif node is not None:
            self._add(node.place, f"{name}: must be names and values, such as `{form}`")

    # --- what there is ---

    def _series(self, interval: int) -> Iterator[MadeSeries]:
        if "series" not in self._node.entries:
            self._add(self._node.place, "series is missing; write some, such as `cpu_percent: 10x5 95x10`")
        for text, place, node in self._named("series", "cpu_percent: 10x5 95x10"):
            try:
                name, tags = parse_name(text)
                monitor = tags.pop(MONITOR_TAG, self._monitor)
                if not monitor:
                    raise Unfit("whose is it? Say `monitor: …` for the test, or give it a tag `monitor_id`")
                points, until = _points(node, interval)
            except Unfit as error:
                self._add(place, f"series: {text[:80]}: {error}" if text[:20] not in str(error) else f"series: {error}")
                continue
            measurement, dot, own = name.partition(".")
            measurement, own = (measurement, own) if dot and measurement and own else ("", name)
            yield MadeSeries(monitor, measurement, own, tuple(sorted(tags.items())), points, until)

    # --- what should be ---

    def _instants(self) -> Iterator[Instant]:
        for text, place, node in self._named("firing", "5m: [cpu-is-hot]"):
            try:
                time = read_nanos(Scalar(place, text, is_null=False))
            except Unfit as error:
                self._add(place, f"firing: {error}")
                continue
            found = [one for item in self._items(node, "firing") if (one := self._expected(item))]
            yield Instant(time, place, tuple(found))

    def _expected(self, node: Node) -> Expected | None:
        try:
            if not isinstance(node, Entries):
                return Expected(self._alert(read_text(node), node.place))
            if unknown := node.entries.keys() - {"alert", "severity"}:
                raise Unfit(f"{min(unknown)[:40]!r} isn't known here; there are alert and severity")
            if "alert" not in node.entries:
                raise Unfit("alert is missing")
            severity = read_text(node.entries["severity"]).lower() if "severity" in node.entries else None
            if severity not in (None, *Severity):
                raise Unfit(f"{severity!r} isn't one of {', '.join(Severity)}")
            return Expected(self._alert(read_text(node.entries["alert"]), node.place), severity)
        except Unfit as error:
            self._add(node.place, f"firing: {error}")
            return None

    def _spans(self) -> Iterator[tuple[AlertName, Span]]:
        for text, place, node in self._named("intervals", "cpu-is-hot: 4m..7m30s"):
            try:
                name = self._alert(text, place)
                times = [parse_span(read_text(item)) for item in self._items(node, "intervals")]
                if any(end is None or end > start for (_, end), (start, _) in pairwise(times)):
                    raise Unfit("must be in order, one after the other")
            except Unfit as error:
                self._add(place, f"intervals: {error}")
                continue
            yield name, Span(place, tuple(times))

    def _alert(self, text: str, place: Place) -> AlertName:
        rule, tags = parse_name(text)
        rule = self._mention(rule, place)
        return AlertName(rule, tags.pop(MONITOR_TAG, self._monitor), tuple(sorted(tags.items())))

    def _mention(self, rule: str, place: Place) -> str:
        """What a rule is called."""
        name = self._names.get(rule, rule)
        self._mentioned.setdefault(name, place)
        return name


def _points(node: Node, interval: int) -> tuple[tuple[tuple[int, float], ...], int]:
    """The points of a series, and where it ends."""
    if isinstance(node, Entries):
        pairs = []
        for text, value in node.entries.items():
            (number,) = parse_values(read_text(value))[:1]
            if number is None:
                raise Unfit(f"{text[:40]}: has no value; leave it out")
            pairs.append((read_nanos(Scalar(node.place, text, is_null=False)), number))
        pairs.sort()
        return tuple(pairs), pairs[-1][0] if pairs else 0
    values = parse_values(read_text(node))
    points = [(number * interval, value) for number, value in enumerate(values) if value is not None]
    return tuple(points), (len(values) - 1) * interval
