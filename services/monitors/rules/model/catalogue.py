"""What a monitor reports, and which of it a condition means."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import IntEnum

from monitors.mesh.errors import InvalidCondition, UnknownField, UnknownMonitor
from monitors.rules.model.condition import Aggregation, Comparison, Condition, Target, aggregated, with_targets
from monitors.rules.model.quantities import listed, shown
from monitors.rules.model.rule import is_pattern


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


def resolve(condition: Condition, monitor_id: str, fields: Sequence[Field], path: str) -> Condition:
    """The condition with its field found among those of the monitor (or of all that a pattern names).

    Raises UnknownField, which lists the fields seen, and InvalidCondition where the field holds text.
    """
    return with_targets(condition, lambda target: _resolve(condition, target, monitor_id, fields, path))


def _resolve(condition: Condition, target: Target, monitor_id: str, fields: Sequence[Field], path: str) -> Target:
    field = _find(target, monitor_id, fields, path)
    _check_type(condition, field, path)
    # A pattern's monitors may keep a field of one name in different measurements.
    measurement = field.measurement if target.measurement or not is_pattern(monitor_id) else ""
    if is_pattern(monitor_id) and target.field == field.qualified != field.name:
        measurement = field.measurement
    return replace(target, field=field.name, measurement=measurement)


def _find(target: Target, monitor_id: str, fields: Sequence[Field], path: str) -> Field:
    name = f"{target.measurement}.{target.field}" if target.measurement else target.field
    # A qualified name comes first: a bare one that contains a dot could not be told from it otherwise.
    found = [each for each in fields if each.qualified == name]
    if not found and not target.measurement:
        found = [each for each in fields if each.name == name]
    if len({(each.measurement, each.name) for each in found}) == 1:
        return found[0]
    if found:
        names = sorted({each.qualified for each in found})
        raise UnknownField(
            path,
            f"{shown(name)} is ambiguous in {shown(monitor_id)}: it's in {listed(names)}; write one of these",
            field_name=name[:64],
            monitor_id=monitor_id[:64],
        )
    raise UnknownField(path, _unknown_field(name, monitor_id, fields), field_name=name[:64], monitor_id=monitor_id[:64])


def _unknown_field(name: str, monitor_id: str, fields: Sequence[Field]) -> str:
    names = sorted({each.name for each in fields})
    if not names:
        return f"{shown(monitor_id)} has reported no fields yet; send it a first point, or register it with its fields"
    candidates = [*names, *sorted({each.qualified for each in fields})]
    return f"{shown(monitor_id)} has no field {shown(name)}{did_you_mean(name, candidates)}; it has {listed(names)}"


def _check_type(condition: Condition, field: Field, path: str) -> None:
    given = aggregated(condition)
    counts = given is not None and given.aggregation is Aggregation.COUNT
    if field.type is FieldType.STRING and isinstance(condition, Comparison) and not counts:
        raise InvalidCondition(
            path,
            f"the field {shown(field.name)} holds text, which can't be compared with a number; compare a field that "
            f"holds numbers, count its points with `count({field.name[:64]}, 5m)`, or say `no data on "
            f"{field.name[:64]} for 15m`",
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
