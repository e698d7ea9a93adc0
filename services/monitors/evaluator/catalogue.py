"""All series in memory: which index a key has, what its type is, and why a new one can't be had.

A million series must fit, so they are columns of small numbers: of the monitor, the field and the tags. What reads them
gets `Series` that are made on demand.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import FieldType, Int32s, Series, SeriesKey
from monitors.evaluator.numbering import NameIndex, Numbers, TupleIndex
from monitors.evaluator.points import Definition
from monitors.mesh.collector import made_to_stay

MAX_SERIES = 100_000
MAX_NAME = 256
MAX_TAGS = 64
MAX_TAG_VALUE = 1_024

_NONE = -1
_Tags = tuple[tuple[str, str], ...]
_Field = tuple[str, str, str]


@dataclass
class _Tenant:
    """How much a tenant has, and the types that its fields have elsewhere, by monitor, measurement and field."""

    number: int
    monitor_count: int = 0
    series_count: int = 0
    learned: dict[_Field, FieldType] = field(default_factory=dict)
    sorted_monitors: list[str] = field(default_factory=list)


class Catalogue:
    """The series that are stored or about to be. Indexes are dense and given in order.

    One thread adds; others may look at the same time.
    """

    def __init__(self, series: Iterable[Series] = (), *, max_series: int = MAX_SERIES) -> None:
        self._tenants: dict[str, _Tenant] = {}
        self._tenant_names: list[str] = []
        self._monitor_names: list[str] = []
        self._tenant_of_monitor, self._first_of_monitor = array("i"), array("i")
        self._monitors = NameIndex(self._tenant_of_monitor, self._monitor_names)
        self._fields: Numbers[tuple[str, str]] = Numbers()
        self._tags: Numbers[str] = Numbers()
        self._monitor_of, self._field_of, self._tags_of = array("i"), array("i"), array("i")
        self._next_of_monitor = array("i")
        self._type_of = array("B")
        self._by_key = TupleIndex(self._monitor_of, self._field_of, self._tags_of)
        self._by_field = TupleIndex(self._monitor_of, self._field_of)
        self._unsaved: list[Series] = []
        self._max_series = max_series
        with made_to_stay():
            self._load(series)

    def _load(self, series: Iterable[Series]) -> None:
        """The same as to remember one after the other, but that columns and indexes are made at once, at the end."""
        monitors: dict[tuple[str, str], int] = {}
        numbers: dict[_Tags, int] = {}
        first_of_field: dict[tuple[int, int], int] = {}
        monitor_of, field_of, tags_of, types = list[int](), list[int](), list[int](), list[int]()
        next_of_monitor = list[int]()
        for index, one in enumerate(series):
            tenant, name, measurement, field_name, tags = one.key
            monitor = monitors.get((tenant, name))
            if monitor is None:
                monitor = monitors[tenant, name] = self._name_monitor(self._tenant(tenant), name)
            field_number = self._fields.number((measurement, field_name))
            tags_number = numbers.get(tags)
            if tags_number is None:
                tags_number = numbers[tags] = self._tags.number(_pack_tags(tags))
            monitor_of.append(monitor)
            field_of.append(field_number)
            tags_of.append(tags_number)
            types.append(one.type)
            next_of_monitor.append(self._first_of_monitor[monitor])
            self._first_of_monitor[monitor] = index
            first_of_field.setdefault((monitor, field_number), index)
        for column, found in (
            (self._monitor_of, monitor_of),
            (self._field_of, field_of),
            (self._tags_of, tags_of),
            (self._next_of_monitor, next_of_monitor),
            (self._type_of, types),
        ):
            column.fromlist(found)
        for monitor, count in Counter(monitor_of).items():
            self._tenants[self._tenant_names[self._tenant_of_monitor[monitor]]].series_count += count
        self._monitors.add_all(range(len(self._monitor_names)))
        self._by_key.add_all(range(len(self._type_of)))
        self._by_field.add_all(first_of_field.values())

    def __len__(self) -> int:
        return len(self._type_of)

    def __getitem__(self, index: int) -> Series:
        monitor = self._monitor_of[index]
        tenant = self._tenant_names[self._tenant_of_monitor[monitor]]
        measurement, name = self._fields[self._field_of[index]]
        tags = _unpack_tags(self._tags[self._tags_of[index]])
        key = SeriesKey(tenant, self._monitor_names[monitor], measurement, name, tags)
        return Series(index, key, FieldType(self._type_of[index]))

    def _remember(self, key: SeriesKey, kind: FieldType, monitor: int, number: int, tags: int) -> int:
        """Enters a series; of what its numbers stand for, those that are missing get theirs."""
        index = len(self._type_of)
        tenant = self._tenant(key.tenant)
        if monitor == _NONE:
            monitor = self._add_monitor(tenant, key.monitor)
        if number == _NONE:
            number = self._fields.number((key.measurement, key.field))
        if tags == _NONE:
            tags = self._tags.number(_pack_tags(key.tags))
        self._monitor_of.append(monitor)
        self._field_of.append(number)
        self._tags_of.append(tags)
        self._next_of_monitor.append(self._first_of_monitor[monitor])
        self._type_of.append(kind)
        # What follows makes it known to those who look.
        is_first = self._first_of_monitor[monitor] == _NONE or self._by_field.find(monitor, number) == _NONE
        self._first_of_monitor[monitor] = index
        self._by_key.add(index, (monitor, number, tags))
        if is_first:
            self._by_field.add(index, (monitor, number))
        tenant.series_count += 1
        return index

    def _tenant(self, name: str) -> _Tenant:
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant(len(self._tenant_names))
            self._tenant_names.append(name)
        return tenant

    def _add_monitor(self, tenant: _Tenant, name: str) -> int:
        monitor = self._name_monitor(tenant, name)
        self._monitors.add(monitor, (tenant.number, name))
        return monitor

    def _name_monitor(self, tenant: _Tenant, name: str) -> int:
        monitor = len(self._monitor_names)
        self._monitor_names.append(name)
        self._tenant_of_monitor.append(tenant.number)
        self._first_of_monitor.append(_NONE)
        tenant.monitor_count += 1
        return monitor

    def _find_monitor(self, tenant: str, name: str) -> int:
        known = self._tenants.get(tenant)
        return self._monitors.find(known.number, name) if known else _NONE

    def _numbers_of(self, key: SeriesKey) -> tuple[int, int, int]:
        monitor = self._find_monitor(key.tenant, key.monitor)
        return monitor, self._fields.find((key.measurement, key.field)), self._tags.find(_pack_tags(key.tags))

    # --- looking up and adding -------------------------------------------------------------------------------------

    def index_of(self, definition: Definition) -> int | None:
        """The index of a series that is there with this type; None if it isn't."""
        monitor, number, tags = self._numbers_of(definition.key)
        if _NONE in (monitor, number, tags):
            return None
        index = self._by_key.find(monitor, number, tags)
        return None if index == _NONE or self._type_of[index] != definition.type else index

    def types_of(self, indexes: Int32s) -> NDArray[np.uint8]:
        """The FieldType of each of some series."""
        types: NDArray[np.uint8] = np.frombuffer(self._type_of, np.uint8)[indexes]
        return types

    def find(self, definition: Definition) -> int | str | None:
        """The series' index, or why its points are refused, or None if it's new and may be added."""
        return self._find(definition, *self._numbers_of(definition.key))

    def _find(self, definition: Definition, monitor: int, number: int, tags: int) -> int | str | None:
        key, kind = definition
        if monitor != _NONE and number != _NONE:
            index = self._by_key.find(monitor, number, tags)
            same_field = index if index != _NONE else self._by_field.find(monitor, number)
            if same_field != _NONE and self._type_of[same_field] != kind:
                return type_conflict(definition, FieldType(self._type_of[same_field]))
            if index != _NONE:
                return index
        tenant = self._tenants.get(key.tenant)
        if tenant and tenant.learned:
            learned = tenant.learned.get(_field(key), kind)
            if learned != kind:
                return type_conflict(definition, learned)
        # What has a number has been looked at.
        reason = None if monitor != _NONE else why_not_a_name("monitor id", key.monitor)
        if not reason and number == _NONE:
            reason = why_not_a_name("measurement", key.measurement) or why_not_a_name("field", key.field)
        if not reason and tags == _NONE:
            reason = why_not_tags(key.tags)
        return reason or (None if self.room(key.tenant) else self._why_full())

    def room(self, tenant: str) -> int:
        """How many more series the tenant may have."""
        known = self._tenants.get(tenant)
        return max(self._max_series - (known.series_count if known else 0), 0)

    def _why_full(self) -> str:
        return (
            f"there are {self._max_series:,} series already, which is the limit; drop a tag whose values keep "
            "changing, such as a request's or a container's id, or have the operator raise MONITORS_MAX_SERIES"
        )

    def find_or_add(self, definition: Definition) -> int | str:
        """The series' index, which it gets if it's new, or why its points are refused.

        A new one is stored with the first batch of points that is committed from now on.
        """
        numbers = self._numbers_of(definition.key)
        found = self._find(definition, *numbers)
        if found is None:
            found = self._remember(*definition, *numbers)
            self._unsaved.append(Series(found, *definition))
        return found

    def learn_type(self, key: SeriesKey, kind: FieldType) -> None:
        """Notes that a field is known elsewhere with this type."""
        self._tenant(key.tenant).learned.setdefault(_field(key), kind)

    def unsaved(self) -> list[Series]:
        """The series that no commit has stored yet, by index."""
        return list(self._unsaved)

    def mark_saved(self, series: Sequence[Series]) -> None:
        """Says that a commit has stored these, the oldest unsaved ones."""
        del self._unsaved[: len(series)]

    # --- listing ---------------------------------------------------------------------------------------------------

    def count_of(self, tenant: str) -> int:
        """How many series a tenant has."""
        known = self._tenants.get(tenant)
        return known.series_count if known else 0

    def tenants(self) -> list[str]:
        """All tenants that have series."""
        return [tenant for tenant, known in self._tenants.items() if known.monitor_count]

    def monitors(self, tenant: str) -> Sequence[str]:
        """A tenant's monitors, sorted."""
        known = self._tenants.get(tenant)
        if known is None:
            return ()
        if len(known.sorted_monitors) != known.monitor_count:
            known.sorted_monitors = sorted([self._monitor_names[number] for number in self._monitors_of(known)])
        return known.sorted_monitors

    def of_monitor(self, tenant: str, monitor: str) -> list[Series]:
        """A monitor's series, sorted by measurement, field and tags."""
        number = self._find_monitor(tenant, monitor)
        if number == _NONE:
            return []
        return sorted((self[index] for index in self._indexes_of(number)), key=sort_key)

    def _monitors_of(self, tenant: _Tenant) -> list[int]:
        owners = np.frombuffer(self._tenant_of_monitor, np.int32)
        numbers: list[int] = np.flatnonzero(owners == tenant.number).tolist()
        return numbers

    def _indexes_of(self, monitor: int) -> Iterator[int]:
        index = self._first_of_monitor[monitor]
        while index != _NONE:
            yield index
            index = self._next_of_monitor[index]

    def fields_of(self, tenant: str) -> Iterator[Definition]:
        """A series of each field of each of the tenant's monitors."""
        for monitor in self._monitors_of(self._tenants[tenant]):
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


def why_not_a_name(what: str, name: str) -> str | None:
    """Why a text can't name a monitor, a measurement or a field; None if it can."""
    if not 1 <= len(name) <= MAX_NAME:
        return f"the {what} has {len(name):,} characters; it must have 1 to {MAX_NAME}"
    if not name.isprintable():
        return f"the {what} {name!r} holds a control character; leave it out"
    return None


def why_not_tags(tags: _Tags) -> str | None:
    """Why a series can't have these tags; None if it can."""
    if len(tags) > MAX_TAGS:
        return f"the series has {len(tags):,} tags; at most {MAX_TAGS} are taken"
    for name, value in tags:
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
    text = "\0".join(chain.from_iterable(tags))
    return text if text.count("\0") == 2 * len(tags) - 1 else "\0"


def _unpack_tags(text: str) -> _Tags:
    if not text:
        return ()
    parts = text.split("\0")
    return tuple(zip(parts[::2], parts[1::2], strict=True))
