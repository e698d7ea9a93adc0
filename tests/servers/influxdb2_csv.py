"""Annotated CSV as InfluxDB 2.x writes it, after `csv/result.go` of Flux: what makes a header come again, CR LF at the
end of rows and within texts, times without trailing zeros, numbers without exponents."""

import csv
import io
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache

from tests.servers.influxdb2_flux import Table
from tests.servers.influxdb2_points import Value

_TYPES = {"string": "string", "float": "double", "int": "long", "uint": "unsignedLong", "bool": "boolean"}
_TYPES["time"] = "dateTime:RFC3339"


def encoded(tables: Sequence[Table], annotations: Sequence[str], *, header: bool = True) -> Iterator[str]:
    """The answer, table by table. Rows name the result only if no default does."""
    last: dict[str, str] | None = None
    for number, table in enumerate(tables):
        rows = list[list[str]]()
        if table.types != last:
            if last is not None:
                yield "\r\n"
            rows += _schema(table, annotations, header=header)
        result = "" if "default" in annotations else "_result"
        rows += [
            ["", result, str(number), *(_text(row.get(column), kind) for column, kind in table.types.items())]
            for row in table.rows
        ]
        last = table.types
        yield written(rows)
    yield "\r\n"


def error_table(message: str, annotations: Sequence[str], *, written_before: bool) -> str:
    """An error after the answer has begun."""
    marks = {"datatype": ["string", "string"], "group": ["true", "true"], "default": ["", ""]}
    rows = [[f"#{name}", *marks[name]] for name in annotations]
    return ("\r\n" if written_before else "") + written([*rows, ["", "error", "reference"], ["", message, ""]])


def _schema(table: Table, annotations: Sequence[str], *, header: bool) -> Iterator[list[str]]:
    marks = {
        "datatype": ["string", "long", *(_TYPES[kind] for kind in table.types.values())],
        "group": ["false", "false", *("true" if one in table.key else "false" for one in table.types)],
        "default": ["_result", "", *("" for _ in table.types)],
    }
    for name in annotations:
        yield [f"#{name}", *marks[name]]
    if header:
        yield ["", "result", "table", *table.types]


def written(rows: Sequence[Sequence[str]]) -> str:
    """Rows as Go's writer of CSV has them with CR LF: a text loses its CRs, and its LFs become CR LF."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([[cell.replace("\r", "").replace("\n", "\r\n") for cell in row] for row in rows])
    return text.getvalue()


def _text(value: Value | None, kind: str) -> str:
    if value is None:
        return ""
    if kind == "time":
        return rfc3339(int(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        plain = repr(value)
        plain = format(Decimal(plain), "f") if "e" in plain else plain
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    return str(value)


def rfc3339(nanos: int) -> str:
    """A time as RFC3339Nano: as many digits as it needs."""
    seconds, rest = divmod(nanos, 10**9)
    days, second = divmod(seconds, 86_400)
    fraction = f".{rest:09d}".rstrip("0") if rest else ""
    return f"{_day(days)}T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}{fraction}Z"


@lru_cache
def _day(days: int) -> str:
    """A day since 1970 in the calendar."""
    return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
