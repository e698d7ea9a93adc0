"""All series in memory: which index a key has, what its type is, and why a new one can't be had.

A million series must fit, so they are columns of small numbers: of the monitor, the field and the tags. What reads them
gets `Series` that are made on demand.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import FieldType, Int32s, Series, SeriesKey
from monitors.evaluator.numbering import Numbers, TupleIndex
from monitors.evaluator.points import Definition

MAX_SERIES = 100_000
MAX_NAME = 256
MAX_TAGS = 64
MAX_TAG_VALUE = 1_024

_NONE = -1
_Tags = tuple[tuple[str, str], ...]
_Field = tuple[str, str, str]


@dataclass
class _Tenant:
    """A tenant's monitors by name, and the types that its fields have elsewhere, by monitor, measurement and field."""

    monitors: dict[str, int] = field(default_factory=dict)
    series_count: int = 0
    learned: dict[_Field, FieldType] = field(default_factory=dict)
    sorted_monitors: list[str] = field(default_factory=list)


class Catalogue:
    """The series that are stored or about to be. Indexes are dense and given in order.

    One thread adds; others may look at the same time.
    """

    def __init__(self, series: Iterable[Series] = (), *, max_series: int = MAX_SERIES) -> None:
        self._tenants: dict[str, _Tenant] = {}
        self._monitors: list[tuple[str, str]] = []
        self._first_of_monitor = array("i")
        self._fields: Numbers[tuple[str, str]] = Numbers()
        self._tags: Numbers[str] = Numbers()
        self._monitor_of, self._field_of, self._tags_of = array("i"), array("i"), array("i")
        self._next_of_monitor = array("i")
        self._type_of = array("B")
        self._by_key = TupleIndex(self._monitor_of, self._field_of, self._tags_of)
        self._by_field = TupleIndex(self._monitor_of, self._field_of)
        self._unsaved: list[Series] = []
        self._max_series = max_series
        for one in series:
            self._remember(one.key, one.type)

    def __len__(self) -> int:
        return len(self._type_of)

    def __getitem__(self, index: int) -> Series:
        tenant, monitor = self._monitors[self._monitor_of[index]]
        measurement, name = self._fields[self._field_of[index]]
        tags = _unpack_tags(self._tags[self._tags_of[index]])
        key = SeriesKey(tenant, monitor, measurement, name, tags)
        return Series(index, key, FieldType(self._type_of[index]))

    def _remember(self, key: SeriesKey, kind: FieldType) -> int:
        index = len(self._type_of)
        tenant = self._tenants.setdefault(key.tenant, _Tenant())
        monitor = tenant.monitors.get(key.monitor)
        if monitor is None:
            monitor = len(self._monitors)
            self._monitors.append((key.tenant, key.monitor))
            self._first_of_monitor.append(_NONE)
            tenant.monitors[key.monitor] = monitor
        number = self._fields.number((key.measurement, key.field))
        self._monitor_of.append(monitor)
        self._field_of.append(number)
        self._tags_of.append(self._tags.number(_pack_tags(key.tags)))
        self._next_of_monitor.append(self._first_of_monitor[monitor])
        self._type_of.append(kind)
        # What follows makes it known to those who look.
        self._first_of_monitor[monitor] = index
        self._by_key.add(index)
        if self._by_field.find(monitor, number) == _NONE:
            self._by_field.add(index)
        tenant.series_count += 1
        return index

    # --- looking up and adding -------------------------------------------------------------------------------------

    def index_of(self, definition: Definition) -> int | None:
        """The index of a series that is there with this type; None if it isn't."""
        key = definition.key
        tenant = self._tenants.get(key.tenant)
        monitor = tenant.monitors.get(key.monitor, _NONE) if tenant else _NONE
        number = self._fields.find((key.measurement, key.field))
        tags = self._tags.find(_pack_tags(key.tags))
        if _NONE in (monitor, number, tags):
            return None
        index = self._by_key.find(monitor, number, tags)
        return None if index == _NONE or self._type_of[index] != definition.type else index

    def types_of(self, indexes: Int32s) -> NDArray[np.uint8]:
        """The FieldType of each of some series."""
        types: NDArray[np.uint8] = np.frombuffer(self._type_of, np.uint8)[indexes]
        return types

    def why_not(self, definition: Definition) -> str | None:
        """Why a series that isn't there can't be added; None if it can."""
        key = definition.key
        known = self._type_of_field(key)
        if known and known != definition.type:
            return type_conflict(definition, known)
        return why_not_a_series(key) or self._why_full(key.tenant)

    def _type_of_field(self, key: SeriesKey) -> FieldType | None:
        tenant = self._tenants.get(key.tenant)
        if tenant is None:
            return None
        monitor = tenant.monitors.get(key.monitor, _NONE)
        number = self._fields.find((key.measurement, key.field))
        if _NONE not in (monitor, number):
            index = self._by_field.find(monitor, number)
            if index != _NONE:
                return FieldType(self._type_of[index])
        return tenant.learned.get(_field(key)) if tenant.learned else None

    def room(self, tenant: str) -> int:
        """How many more series the tenant may have."""
        known = self._tenants.get(tenant)
        return max(self._max_series - (known.series_count if known else 0), 0)

    def _why_full(self, tenant: str) -> str | None:
        if self.room(tenant):
            return None
        return (
            f"there are {self._max_series:,} series already, which is the limit; drop a tag whose values keep "
            "changing, such as a request's or a container's id, or have the operator raise MONITORS_MAX_SERIES"
        )

    def add(self, definition: Definition) -> int:
        """Gives a new series its index. It's stored with the first batch of points that is committed from now on."""
        index = self._remember(definition.key, definition.type)
        self._unsaved.append(Series(index, definition.key, definition.type))
        return index

    def learn_type(self, key: SeriesKey, kind: FieldType) -> None:
        """Notes that a field is known elsewhere with this type."""
        self._tenants.setdefault(key.tenant, _Tenant()).learned.setdefault(_field(key), kind)

    def unsaved(self) -> list[Series]:
        """The series that no commit has stored yet, by index."""
        return list(self._unsaved)

    def mark_saved(self, series: Sequence[Series]) -> None:
        """Says that a commit has stored these, the oldest unsaved ones."""
        del self._unsaved[: len(series)]

    # --- listing ---------------------------------------------------------------------------------------------------

    def tenants(self) -> list[str]:
        """All tenants that have series."""
        return [tenant for tenant, known in self._tenants.items() if known.monitors]

    def monitors(self, tenant: str) -> Sequence[str]:
        """A tenant's monitors, sorted."""
        known = self._tenants.get(tenant)
        if known is None:
            return ()
        if len(known.sorted_monitors) != len(known.monitors):
            known.sorted_monitors = sorted(known.monitors)
        return known.sorted_monitors

    def of_monitor(self, tenant: str, monitor: str) -> list[Series]:
        """A monitor's series, sorted by measurement, field and tags."""
        known = self._tenants.get(tenant)
        number = known.monitors.get(monitor, _NONE) if known else _NONE
        if number == _NONE:
            return []
        return sorted((self[index] for index in self._indexes_of(number)), key=sort_key)

    def _indexes_of(self, monitor: int) -> Iterator[int]:
        index = self._first_of_monitor[monitor]
        while index != _NONE:
            yield index
            index = self._next_of_monitor[index]

    def fields_of(self, tenant: str) -> Iterator[Definition]:
        """A series of each field of each of the tenant's monitors."""
        for monitor in list(self._tenants[tenant].monitors.values()):
            first_ones = {self._field_of[index]: index for index in self._indexes_of(monitor)}
            for index in first_ones.values():
                series = self[index]
                yield Definition(series.key, series.type)

    def all(self) -> list[Series]:
        """All series, by index."""
        return [self[index] for index in range(len(self))]


def sort_key(series: Series) -> tuple[str, str, str, _Tags]:
    """What series are sorted by within a tenant."""
    return series.key.monitor, series.key.measurement, series.key.field, series.key.tags


def type_conflict(definition: Definition, known: FieldType) -> str:
    """InfluxDB's words for a field that comes with another type than it has."""
    return (
        f'field type conflict: input field "{definition.key.field}" on measurement "{definition.key.measurement}" '
        f"is type {definition.type.name.lower()}, already exists as type {known.name.lower()}"
    )


def why_not_a_series(key: SeriesKey) -> str | None:
    """Why a key can't name a series; None if it can."""
    for what, name in (("monitor id", key.monitor), ("measurement", key.measurement), ("field", key.field)):
        if not 1 <= len(name) <= MAX_NAME:
            return f"the {what} has {len(name):,} characters; it must have 1 to {MAX_NAME}"
        if not name.isprintable():
            return f"the {what} {name!r} holds a control character; leave it out"
    if len(key.tags) > MAX_TAGS:
        return f"the series has {len(key.tags):,} tags; at most {MAX_TAGS} are taken"
    for name, value in key.tags:
        if not (1 <= len(name) <= MAX_NAME and name.isprintable()):
            return f"the tag name {name[:MAX_NAME]!r} must have 1 to {MAX_NAME} printable characters"
        if not 1 <= len(value) <= MAX_TAG_VALUE or "\0" in value:
            return f"the value of the tag {name!r} must have 1 to {MAX_TAG_VALUE:,} characters and no NUL"
    return None


def _field(key: SeriesKey) -> _Field:
    return key.monitor, key.measurement, key.field


def _pack_tags(tags: _Tags) -> str:
    """Tags as one text. Those that hold a NUL, which none that are stored may, are like no others."""
    if not tags:
        return ""
    text = "\0".join([part for tag in tags for part in tag])
    return text if text.count("\0") == 2 * len(tags) - 1 else "\0"


def _unpack_tags(text: str) -> _Tags:
    if not text:
        return ()
    parts = text.split("\0")
    return tuple(zip(parts[::2], parts[1::2], strict=True))
