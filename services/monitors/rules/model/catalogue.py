"""What a monitor reports, and which of it a condition means."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import IntEnum

from monitors.mesh.errors import InvalidCondition, InvalidField, UnknownField, UnknownMonitor
from monitors.rules.model.condition import (
    Aggregation,
    Arithmetic,
    ArithmeticOperator,
    Comparison,
    Condition,
    Expression,
    Forecast,
    Input,
    Operator,
    Target,
    TextTest,
    Threshold,
)
from monitors.rules.model.condition_parts import Part, parts_of, with_targets
from monitors.rules.model.quantities import listed, shown
from monitors.rules.model.rule import is_pattern

_WORD = re.compile(r"[\w.]+")


class FieldType(IntEnum):
    """What a field holds; the numbers are those of monitors.v1.FieldType."""

    FLOAT = 1
    INTEGER = 2
    UNSIGNED = 3
    BOOLEAN = 4
    STRING = 5


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a monitor."""

    measurement: str
    name: str
    type: FieldType

    @property
    def qualified(self) -> str:
        """The name that is unambiguous within the monitor."""
        return f"{self.measurement}.{self.name}"


def resolve(
    condition: Condition, monitor_id: str, fields: Sequence[Field], path: str
) -> tuple[Condition, list[InvalidField]]:
    """The condition with its fields found among those of the monitor (or of all that a pattern names), and what is
    wrong: an UnknownField for each that isn't there, which lists those that are, and an InvalidCondition for each that
    holds something else than what it is compared with."""
    search = _Search(monitor_id, fields, path, set(_dashed_names(condition)), set(_bare_words(condition)))
    found = with_targets(condition, search.resolve)
    if not search.errors:
        search.errors += _check_types(found, search)
    return found, list({error.message: error for error in search.errors}.values())


class _Search:
    """Finds fields and keeps what is wrong."""

    def __init__(self, monitor_id: str, fields: Sequence[Field], path: str, dashed: set[str], words: set[str]) -> None:
        self._monitor_id = monitor_id
        self._fields = fields
        self.path = path
        self._dashed = dashed
        self._words = words
        self.types: dict[Target, frozenset[FieldType]] = {}
        self.errors: list[InvalidField] = []

    def resolve(self, target: Target) -> Target:
        """The target with its measurement, where it's found."""
        try:
            found = self._find(target)
        except UnknownField as error:
            self.errors.append(error)
            return target
        field = found[0]
        # A pattern's monitors may keep a field of one name in different measurements.
        measurement = field.measurement if target.measurement or not is_pattern(self._monitor_id) else ""
        if is_pattern(self._monitor_id) and target.field == field.qualified != field.name:
            measurement = field.measurement
        resolved = replace(target, field=field.name, measurement=measurement)
        self.types[resolved] = frozenset(each.type for each in found)
        return resolved

    def _find(self, target: Target) -> list[Field]:
        """The field as each of the monitors has it."""
        name = f"{target.measurement}.{target.field}" if target.measurement else target.field
        # A qualified name comes first: a bare one that contains a dot could not be told from it otherwise.
        found = [each for each in self._fields if each.qualified == name]
        if not found and not target.measurement:
            found = [each for each in self._fields if each.name == name]
        if len({(each.measurement, each.name) for each in found}) == 1:
            return found
        if found:
            names = sorted({each.qualified for each in found})
            raise self._unknown(
                name,
                f"{shown(name)} is ambiguous in {shown(self._monitor_id)}: it's in {listed(names)}; write one of these",
            )
        raise self._unknown(name, self._unknown_field(name))

    def _unknown(self, name: str, description: str) -> UnknownField:
        return UnknownField(self.path, description, field_name=name[:64], monitor_id=self._monitor_id[:64])

    def _unknown_field(self, name: str) -> str:
        monitor_id = shown(self._monitor_id)
        names = sorted({each.name for each in self._fields})
        if not names:
            return f"{monitor_id} has reported no fields yet; send it a first point, or register it with its fields"
        if meant := sorted(self._dashed & {*names, *(each.qualified for each in self._fields)}):
            sign = next(sign for sign in "-/" if sign in meant[0])
            return (
                f"{monitor_id} has no field {shown(name)}, but it has {shown(meant[0])}; a name with `{sign}` in it is "
                f'written in quotes, as "{meant[0][:64]}", since it means a calculation otherwise'
            )
        candidates = [*names, *sorted({each.qualified for each in self._fields})]
        text = f'; if it\'s a text, write it in quotes, as "{name[:64]}"' if name in self._words else ""
        there = listed(list(map(_written, names)))
        return f"{monitor_id} has no field {shown(name)}{did_you_mean(name, candidates)}; it has {there}{text}"


def _written(name: str) -> str:
    """A field's name as a condition has it: in quotes unless it's a plain word."""
    return name if _WORD.fullmatch(name) else json.dumps(name[:50], ensure_ascii=False)


def _dashed_names(part: Part) -> Iterator[str]:
    """Names that were meant where a calculation was read: `cpu-usage` of the difference of `cpu` and `usage`."""
    if isinstance(part, Arithmetic) and (name := _as_name(part)):
        yield name
    for each in parts_of(part):
        yield from _dashed_names(each)


def _bare_words(part: Part) -> Iterator[str]:
    """Names on the right that may be meant as texts: `status is down`."""
    match part:
        case Comparison(test=Threshold(Operator.EQUAL | Operator.NOT_EQUAL, Input(target))):
            yield target.field
    for each in parts_of(part):
        yield from _bare_words(each)


def _as_name(expression: Expression) -> str:
    """What an expression looks like as a name, empty if it can't be one."""
    match expression:
        case Input(target=Target(field, "", ())) if expression.is_bare:
            return field
        case Arithmetic(left, ArithmeticOperator.SUBTRACT | ArithmeticOperator.DIVIDE as sign, right):
            before, after = _as_name(left), _as_name(right)
            return f"{before}{sign}{after}" if before and after else ""
    return ""


def _check_types(part: Part, search: _Search) -> Iterator[InvalidCondition]:
    """What is compared with text must hold text, and numbers are computed of numbers."""
    match part:
        case Comparison(left=Input() as left, test=TextTest()):
            types = search.types[left.target]
            if types != {FieldType.STRING}:
                yield InvalidCondition(search.path, _mismatch(left, types, "text"))
        case Input(aggregation=Aggregation.COUNT | Aggregation.CHANGES):
            pass
        case Input() | Forecast():
            types = search.types[part.target]
            if FieldType.STRING in types:
                yield InvalidCondition(search.path, _mismatch(part, types, "number"))
        case _:
            for each in parts_of(part):
                yield from _check_types(each, search)


def _mismatch(given: Input | Forecast, types: frozenset[FieldType], wanted: str) -> str:
    name = given.target.field
    if len({each is FieldType.STRING for each in types}) > 1:
        kinds = " and ".join(sorted(each.name for each in types))
        return (
            f"the field {shown(name)} is {kinds} on different monitors, so that it can't be compared; make rules for "
            "monitors that agree, or let them report the same type"
        )
    if wanted == "text":
        (kind, *_) = sorted(each.name for each in types)
        return f"the field {shown(name)} is {kind}, which can't be compared with text; compare it with a number, as 0"
    return (
        f"the field {shown(name)} holds text, which can't be compared with a number; compare it with a text in quotes, "
        f'as `{name[:64]} == "down"`, count its points with `count({name[:64]}, 5m)`, or say `no data on {name[:64]} '
        "for 15m`"
    )


def unknown_monitor(path: str, monitor_id: str, known: Sequence[str]) -> UnknownMonitor:
    """The error that names the monitors there are."""
    if is_pattern(monitor_id):
        problem = f"no monitor matches {shown(monitor_id)}"
    else:
        problem = f"there is no monitor {shown(monitor_id)}{did_you_mean(monitor_id, known)}"
    if not known:
        fix = "no monitor has reported yet; send a point first, or register the monitor"
    else:
        fix = f"there are {listed(sorted(known))}"
    return UnknownMonitor(path, f"{problem}; {fix}", monitor_id=monitor_id[:256])


def did_you_mean(name: str, candidates: Sequence[str]) -> str:
    """`, did you mean …?` if one of the candidates is close."""
    close = get_close_matches(name[:256], candidates, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""
