"""What can be asked of the series: pages of them, and the points of some. Raises the errors that callers see."""

import base64
import bisect
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monitors.evaluator.catalogue import Catalogue, sort_key
from monitors.evaluator.messages import as_numbers
from monitors.evaluator.model.series import FieldType, Series
from monitors.evaluator.points import Points, in_time_order, thinned_places
from monitors.evaluator.readable import Readable, TooManyPoints
from monitors.mesh.errors import InvalidField, InvalidPageToken, UnknownField, UnknownMonitor

MAX_PAGE = 10_000
DEFAULT_PAGE = 1_000
MAX_POINTS = 11_000
# A response must fit into the 4 MiB that gRPC takes; a point of a number needs at most 18 bytes.
MAX_RESPONSE_POINTS = 200_000
MAX_RESPONSE_TEXT = 2_000_000
MAX_QUERIED_SERIES = 1_000
NAMES_SHOWN = 20


@dataclass(frozen=True)
class SeriesQuery:
    """Which series of a tenant."""

    tenant: str
    monitor: str
    measurement: str
    field: str
    tags: Mapping[str, str]


def page_of_series(
    catalogue: Catalogue, tenant: str, monitors: Sequence[str], size: int, token: str
) -> tuple[list[Series], bool]:
    """A page of the tenant's series in their order, and whether there are more. Raises InvalidField."""
    if not 0 <= size <= MAX_PAGE:
        raise InvalidField("page_size", f"{size}; send 1 to {MAX_PAGE:,}, or 0 for {DEFAULT_PAGE:,}")
    size = size or DEFAULT_PAGE
    after = _read_token(token, tenant, monitors) if token else None
    page: list[Series] = []
    for monitor in _from(catalogue, tenant, monitors, after[0] if after else ""):
        own = catalogue.of_monitor(tenant, monitor)
        if after and monitor == after[0]:
            own = own[bisect.bisect_right(own, after, key=sort_key) :]
        page += own[: size + 1 - len(page)]
        if len(page) > size:
            return page[:size], True
    return page, False


def _from(catalogue: Catalogue, tenant: str, monitors: Sequence[str], first: str) -> Iterator[str]:
    """The tenant's monitors from `first` on in their order, or those of them that are wanted."""
    known = sorted(set(monitors)) if monitors else catalogue.monitors(tenant)
    for place in range(bisect.bisect_left(known, first), len(known)):
        yield known[place]


def token_after(series: Series, tenant: str, monitors: Sequence[str]) -> str:
    """The token of the page that begins after `series`."""
    text = json.dumps([_fingerprint(tenant, monitors), *sort_key(series)], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode()


def _read_token(token: str, tenant: str, monitors: Sequence[str]) -> tuple[str, str, str, tuple[tuple[str, str], ...]]:
    try:
        fingerprint, monitor, measurement, field, tags = json.loads(base64.urlsafe_b64decode(token))
        key = str(monitor), str(measurement), str(field), tuple((str(name), str(value)) for name, value in tags)
    except (ValueError, TypeError):
        raise InvalidPageToken from None
    if fingerprint != _fingerprint(tenant, monitors):
        raise InvalidPageToken
    return key


def _fingerprint(tenant: str, monitors: Sequence[str]) -> str:
    """Of what must stay as it is from page to page; another tenant's token isn't one."""
    return hashlib.sha256("\0".join([tenant, *sorted(set(monitors))]).encode()).hexdigest()[:16]


def matching_series(catalogue: Catalogue, query: SeriesQuery) -> list[Series]:
    """The series that a query names. Raises InvalidField, UnknownMonitor, UnknownField."""
    if not query.field:
        raise InvalidField("field", "empty; it's required")
    found = exported_series(catalogue, query)
    measurements = sorted({series.key.measurement for series in found})
    if len(measurements) > 1:
        raise UnknownField(
            "measurement", f"{query.field!r} is in several measurements; name one of: {_some(measurements)}"
        )
    if len(found) > MAX_QUERIED_SERIES:
        raise InvalidField(
            "tags", f"{len(found):,} series match, at most {MAX_QUERIED_SERIES:,} are read at once; name more tags"
        )
    return found


def exported_series(catalogue: Catalogue, query: SeriesQuery) -> list[Series]:
    """The series that a query names, where no measurement or field means all. Raises as `matching_series`."""
    if not query.monitor:
        raise InvalidField("monitor_id", "empty; it's required")
    of_monitor = catalogue.of_monitor(query.tenant, query.monitor)
    if not of_monitor:
        names = _some(catalogue.monitors(query.tenant))
        raise UnknownMonitor("monitor_id", f"there is no monitor {query.monitor!r}; there are: {names}")
    of_field = [series for series in of_monitor if _is_field(series, query)]
    if not of_field:
        names = _some(sorted({f"{series.key.measurement}.{series.key.field}" for series in of_monitor}))
        name = ".".join(filter(None, (query.measurement, query.field)))
        raise UnknownField("field", f"monitor {query.monitor!r} has no field {name!r}; it has: {names}")
    return [series for series in of_field if query.tags.items() <= dict(series.key.tags).items()]


def _is_field(series: Series, query: SeriesQuery) -> bool:
    key = series.key
    if query.measurement and key.measurement != query.measurement:
        return False
    if not query.field or query.measurement:
        return query.field in ("", key.field)
    return query.field in (key.field, f"{key.measurement}.{key.field}")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES_SHOWN:,} more" if len(names) > NAMES_SHOWN else ""
    return (", ".join(names[:NAMES_SHOWN]) or "none") + more


async def points_for_chart(
    store: Readable, found: Sequence[Series], start: int, end: int
) -> list[tuple[Series, Points]]:
    """The points of each series with start <= time <= end, oldest first, thinned so that a chart looks the same."""
    if end < start:
        raise InvalidField("end_time", "earlier than start_time; send a later one, or none for now")
    if not found:
        return []
    try:
        points = await store.read_series([series.index for series in found], start, end)
    except TooManyPoints as error:
        raise InvalidField("start_time", f"{error}; ask for a shorter time range, or name tags") from None
    limit = min(MAX_POINTS, MAX_RESPONSE_POINTS // len(found))
    order = np.argsort(points.series, kind="stable")
    borders = np.searchsorted(points.series[order], [[one.index, one.index + 1] for one in found])
    result, text_length = [], 0
    for series, (low, high) in zip(found, borders.tolist(), strict=True):
        own = in_time_order(points.take(order[low:high]))
        own = own.take(thinned_places(own.times, as_numbers(series, own), limit))
        if series.type == FieldType.STRING:
            text_length += sum(len(own.texts[place].encode()) for place in own.values.tolist())
        result.append((series, own))
    if text_length > MAX_RESPONSE_TEXT:
        raise InvalidField("start_time", "the texts in this range are too long for one answer; ask for a shorter one")
    return result
