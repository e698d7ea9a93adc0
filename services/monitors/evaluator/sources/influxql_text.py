"""InfluxQL's statements: names are quoted by one function, texts by another or bound as parameters, and that's all."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from monitors.evaluator.lines import MONITOR_TAGS
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources.port import Selection

# InfluxDB keeps times in this range only.
EARLIEST, LATEST = -(2**63) + 2, 2**63 - 2
FIELDS_AT_ONCE = 40
_CASTS = {
    FieldType.FLOAT: "float",
    FieldType.INTEGER: "integer",
    FieldType.UNSIGNED: "unsigned",
    FieldType.BOOLEAN: "boolean",
    FieldType.STRING: "string",
}
TYPES = {cast: kind for kind, cast in _CASTS.items()}
_NUMBERS = (FieldType.FLOAT, FieldType.INTEGER, FieldType.UNSIGNED)


def quote_name(name: str) -> str:
    """A measurement, field, tag or policy as an identifier."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def quote_text(text: str) -> str:
    """A text as a literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


@dataclass(frozen=True)
class Measurement:
    """What a measurement has, as the server tells."""

    name: str
    fields: tuple[tuple[str, FieldType], ...]
    tags: tuple[str, ...]


@dataclass
class Texts:
    """Texts and numbers on their way into statements: as literals, or bound as parameters of a request."""

    bound: bool
    parameters: dict[str, str | int] = field(default_factory=dict)
    _names: dict[str | int, str] = field(default_factory=dict)

    def put(self, value: str | int) -> str:
        """What stands for a text or a number in a statement."""
        if not self.bound:
            return quote_text(value) if isinstance(value, str) else str(value)
        name = self._names.setdefault(value, f"p{len(self._names)}")
        self.parameters[name] = value
        return f"${name}"


@dataclass(frozen=True)
class Statement:
    """A SELECT. Its columns are named `{prefix}f0`… for the fields and `{prefix}t0`… for the measurement's tags."""

    text: str
    prefix: str
    measurement: Measurement
    fields: tuple[tuple[str, FieldType], ...]


@dataclass(frozen=True)
class Question:
    """What every statement of an answer has in common. `times` is the condition on the time."""

    selection: Selection
    times: str
    newest: bool
    policy: str = ""


def wanted_fields(measurement: Measurement, selection: Selection) -> list[tuple[str, FieldType]]:
    """The fields to ask for. Of a field that has been of several kinds of number, the server makes one kind."""
    kinds: dict[str, set[FieldType]] = {}
    for name, kind in measurement.fields:
        if selection.fields is None or name in selection.fields:
            kinds.setdefault(name, set()).add(kind)
    found = []
    for name, own in sorted(kinds.items()):
        numbers = [kind for kind in _NUMBERS if kind in own]
        found += [(name, kind) for kind in sorted(own) if kind not in numbers[1:]]
    return found


def statements(
    question: Question, measurement: Measurement, any_of: Sequence[str] | None, numbers: Iterator[int]
) -> Iterator[Statement]:
    """What to ask of a measurement. `any_of` are the conditions on the monitor, None if there are none."""
    source = quote_name(measurement.name)
    if question.policy:
        source = f"{quote_name(question.policy)}.{source}"
    where = question.times if any_of is None else f"{question.times} AND {balanced(any_of)}"
    for fields in _groups(wanted_fields(measurement, question.selection), question.newest):
        prefix = f"s{next(numbers)}"
        columns = [f"{quote_name(name)}::{_CASTS[kind]}" for name, kind in fields]
        if question.newest:
            columns = [f"last({column})" for column in columns]
        named = [f"{column} AS {prefix}f{place}" for place, column in enumerate(columns)]
        named += [f"{quote_name(tag)}::tag AS {prefix}t{place}" for place, tag in enumerate(measurement.tags)]
        words = ["SELECT", ", ".join(named), "FROM", source, "WHERE", where]
        text = " ".join([*words, "GROUP BY *"] if question.newest else words)
        yield Statement(text, prefix, measurement, tuple(fields))


def _groups(fields: Sequence[tuple[str, FieldType]], newest: bool) -> Iterator[list[tuple[str, FieldType]]]:
    """The fields that one statement asks for.

    In CSV a missing text is the same as an empty one, so each field of texts stands alone, where none is missing; and
    of several newest points a statement tells one time only.
    """
    together = [] if newest else [one for one in fields if one[1] != FieldType.STRING]
    for start in range(0, len(together), FIELDS_AT_ONCE):
        yield together[start : start + FIELDS_AT_ONCE]
    for one in fields:
        if newest or one[1] == FieldType.STRING:
            yield [one]


def of_monitors(measurement: Measurement, ids: Iterable[str], texts: Texts) -> list[str] | None:
    """Conditions any of which each point of these monitors meets, and no other point; None if all points do.

    A point's first tag that names a monitor has the id, or it has no such tag and its measurement is the monitor.
    """
    known = [tag for tag in MONITOR_TAGS if tag in measurement.tags]
    conditions = []
    for monitor in ids:
        if monitor == measurement.name and not known:
            return None
        for place, tag in enumerate(known):
            absent = [_absent(other) for other in known[:place]]
            conditions.append(_all([*absent, f"{quote_name(tag)}::tag = {texts.put(monitor)}"]))
        if monitor == measurement.name:
            conditions.append(_all([_absent(tag) for tag in known]))
    return conditions


def _absent(tag: str) -> str:
    return f"{quote_name(tag)}::tag = ''"


def _all(conditions: Sequence[str]) -> str:
    return conditions[0] if len(conditions) == 1 else f"({' AND '.join(conditions)})"


def balanced(conditions: Sequence[str]) -> str:
    """Any of the conditions, as a tree that's only as deep as it must be: servers take long chains slowly or not."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({balanced(conditions[:middle])} OR {balanced(conditions[middle:])})"
