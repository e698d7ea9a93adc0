"""All series in memory: which index a key has, what its type is, and why a new one can't be had."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.points import Definition

MAX_SERIES = 100_000
MAX_NAME = 256
MAX_TAGS = 64
MAX_TAG_VALUE = 1_024

_Field = tuple[str, str, str, str]


class Catalogue:
    """The series that are stored or about to be. Indexes are dense and given in order."""

    def __init__(self, series: Iterable[Series] = (), *, max_series: int = MAX_SERIES) -> None:
        self._series: list[Series] = []
        self._by_key: dict[SeriesKey, Series] = {}
        self._field_types: dict[_Field, FieldType] = {}
        self._of_tenant: dict[str, list[Series]] = defaultdict(list)
        self._unsorted: set[str] = set()
        self._unsaved: list[Series] = []
        self._max_series = max_series
        for one in series:
            self._remember(one)

    def __len__(self) -> int:
        return len(self._series)

    def __getitem__(self, index: int) -> Series:
        return self._series[index]

    def _remember(self, series: Series) -> None:
        key = series.key
        self._series.append(series)
        self._by_key[key] = series
        self._field_types.setdefault(_field(key), series.type)
        self._of_tenant[key.tenant].append(series)
        self._unsorted.add(key.tenant)

    def find(self, definition: Definition) -> Series | str | None:
        """The series, or why its points are refused, or None if it's new and may be added."""
        key = definition.key
        series = self._by_key.get(key)
        if series and series.type == definition.type:
            return series
        known = self._field_types.get(_field(key))
        if known and known != definition.type:
            return type_conflict(definition, known)
        return why_not_a_series(key) or self._why_full(key.tenant)

    def room(self, tenant: str) -> int:
        """How many more series the tenant may have."""
        return max(self._max_series - len(self._of_tenant.get(tenant, ())), 0)

    def _why_full(self, tenant: str) -> str | None:
        if self.room(tenant):
            return None
        return (
            f"there are {self._max_series:,} series already, which is the limit; drop a tag whose values keep "
            "changing, such as a request's or a container's id"
        )

    def add(self, definition: Definition) -> Series:
        """Gives a new series its index. It's stored with the first batch of points that is committed from now on."""
        series = Series(len(self._series), definition.key, definition.type)
        self._remember(series)
        self._unsaved.append(series)
        return series

    def learn_type(self, key: SeriesKey, kind: FieldType) -> None:
        """Notes that a field is known elsewhere with this type."""
        self._field_types.setdefault(_field(key), kind)

    def unsaved(self) -> list[Series]:
        """The series that no commit has stored yet, by index."""
        return list(self._unsaved)

    def mark_saved(self, series: Sequence[Series]) -> None:
        """Says that a commit has stored these, the oldest unsaved ones."""
        del self._unsaved[: len(series)]

    def of_tenant(self, tenant: str) -> list[Series]:
        """A tenant's series, sorted by monitor, measurement, field and tags."""
        if tenant in self._unsorted:
            self._of_tenant[tenant].sort(key=sort_key)
            self._unsorted.discard(tenant)
        return self._of_tenant.get(tenant, [])

    def all(self) -> list[Series]:
        """All series, by index."""
        return list(self._series)


def sort_key(series: Series) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    """What series are sorted by within a tenant."""
    return series.key.monitor, series.key.measurement, series.key.field, series.key.tags


def text_mask(series: NDArray[np.int32], definitions: Sequence[Definition]) -> NDArray[np.bool_]:
    """Which points hold texts; `series` counts in `definitions`."""
    kinds = np.array([definition.type == FieldType.STRING for definition in definitions], np.bool_)
    return kinds[series] if len(kinds) else np.zeros(len(series), np.bool_)


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
    return key.tenant, key.monitor, key.measurement, key.field
