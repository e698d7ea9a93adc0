"""Points as InfluxDB line protocol, escaped as InfluxDB's own clients do it.

https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

import math
from collections.abc import Mapping

Field = float | int | bool | str

# A line can't hold a raw line break outside of a string field; the clients write these two characters instead.
_WHITE = {"\n": r"\n", "\t": r"\t", "\r": r"\r"}
_MEASUREMENT = str.maketrans({",": r"\,", " ": r"\ ", **_WHITE})
_KEY = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ ", **_WHITE})
_STRING = str.maketrans({'"': r"\"", "\\": r"\\"})


def format_line(measurement: str, tags: Mapping[str, str], fields: Mapping[str, Field], time: int) -> str:
    """One point as a line without a line break; `time` in nanoseconds since 1970.

    Tags without a value and numbers that aren't finite are left out; without a field left the line is empty.
    """
    head = measurement.translate(_MEASUREMENT)
    for name, value in sorted(tags.items()):
        if name and value:
            head += f",{name.translate(_KEY)}={_tag_value(value)}"
    parts = [
        f"{name.translate(_KEY)}={text}"
        for name, value in sorted(fields.items())
        if (text := _field_value(value)) is not None
    ]
    return f"{head} {','.join(parts)} {time}" if parts else ""


def _tag_value(value: str) -> str:
    text = value.translate(_KEY)
    # A backslash at the end would escape the comma or space that follows.
    return f"{text} " if text.endswith("\\") else text


def _field_value(value: Field) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value}i"
    if isinstance(value, float):
        return str(value).removesuffix(".0") if math.isfinite(value) else None
    return f'"{value.translate(_STRING)}"'
