"""The series' rows."""

import json
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.store.tables import series as table
from monitors.mesh.collector import made_to_stay
from monitors.mesh.rows import insert_rows
from monitors.mesh.tenancy import crosses_tenants

_to_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_COLUMNS = ("tenant_id", "series_index", "monitor_id", "measurement", "field", "tags", "type")


@crosses_tenants("the series of all tenants are in memory")
def all_series(session: Session) -> list[Series]:
    """All series, by index."""
    columns = table.c
    query = select(
        columns.series_index, columns.tenant_id, columns.monitor_id, columns.measurement, columns.field, columns.tags,
        columns.type,
    ).order_by(columns.series_index)  # fmt: skip
    kinds = {int(kind): kind for kind in FieldType}
    known: dict[bytes, tuple[tuple[str, str], ...]] = {}
    found = []
    with made_to_stay():
        for index, tenant, monitor, measurement, field, packed, kind in session.execute(query):
            tags = known.get(packed)
            if tags is None:
                tags = known[packed] = tuple((name, value) for name, value in json.loads(packed))
            found.append(Series(index, SeriesKey(tenant, monitor, measurement, field, tags), kinds[kind]))
    return found


@crosses_tenants("what all tenants send is committed together")
def add_series(session: Session, new: Sequence[Series]) -> None:
    """Inserts series."""
    insert_rows(session, table, _COLUMNS, [_to_row(one) for one in new])


def _to_row(series: Series) -> tuple[str, int, str, str, str, bytes, int]:
    key = series.key
    tags = _to_json(key.tags).encode() if key.tags else b"[]"
    return key.tenant, series.index, key.monitor, key.measurement, key.field, tags, int(series.type)
