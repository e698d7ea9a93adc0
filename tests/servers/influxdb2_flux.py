"""The part of Flux that the double of InfluxDB 2.x speaks: one pipe, parsed strictly and carried out.

`from |> range |> filter* |> last? |> group? |> drop/keep/sort/limit`, with filters that compare a column with a text by
`==`, joined by `and` and `or`. Names that aren't columns come from the request's `extern`, as a syntax tree. Everything
else is refused, as the server does with what it can't compile.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from lark import Lark, Token, Transformer, UnexpectedInput, v_args

from tests.servers.influxdb2_points import Bucket, Unsigned, Value

_GRAMMAR = r"""
start: call ("|>" call)*
call: NAME "(" [argument ("," argument)*] ")"
argument: NAME ":" (function | value)
function: "(" "r" ")" "=>" condition
?condition: conjunction ("or" conjunction)*
?conjunction: comparison ("and" comparison)* -> conjunction
?comparison: "(" condition ")" | member "==" value -> equal
member: "r" "[" TEXT "]" | "r" "." NAME
value: TEXT -> text | DATE -> date | DURATION -> duration | SIGNED_INT -> whole | "true" -> yes | "false" -> no
     | "[" [value ("," value)*] "]" -> array | NAME -> name
NAME: /(?!(and|or|not|exists|true|false)\b)[A-Za-z_][A-Za-z_0-9]*/
TEXT: /"([^"\\]|\\["\\ntr$])*"/
DATE: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/
DURATION: /-?\d+(ns|us|ms|s|m|h|d|w)/
%import common.SIGNED_INT
%import common.WS
%ignore WS
"""
_UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86400 * 10**9}
_UNITS["w"] = 7 * _UNITS["d"]
_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
Row = dict[str, Value | None]
Condition = Callable[[Row], bool]


class Refused(Exception):
    """What the server says no to, with its HTTP status and code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Failed(Exception):
    """What goes wrong while the answer is on its way."""


@dataclass
class Table:
    """Rows with the same values in the columns of `key`; `types` are those of the columns, in their order."""

    key: tuple[str, ...]
    types: dict[str, str]
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class Time:
    """A time, so that it's not taken for a number."""

    nanos: int


@dataclass(frozen=True)
class Name:
    """A name that something else gives a value to."""

    name: str


@v_args(inline=True)
class _Reader(Transformer):  # type: ignore[type-arg]
    """From a syntax tree to calls: their names with their arguments."""

    def start(self, *calls: Any) -> list[Any]:
        return list(calls)

    def call(self, name: Token, *arguments: Any) -> tuple[str, dict[str, Any]]:
        given = [one for one in arguments if one is not None]
        return str(name), dict(given)

    def argument(self, name: Token, value: Any) -> tuple[str, Any]:
        return str(name), value

    def member(self, name: Token) -> str:
        return _text(name) if name.type == "TEXT" else str(name)

    def equal(self, member: str, value: Any) -> Any:
        return ("==", member, value)

    def conjunction(self, *parts: Any) -> Any:
        return parts[0] if len(parts) == 1 else ("and", *parts)

    def condition(self, *parts: Any) -> Any:
        return ("or", *parts)

    def function(self, condition: Any) -> Any:
        return ("fn", condition)

    def text(self, token: Token) -> str:
        return _text(token)

    def date(self, token: Token) -> Time:
        return Time(nanos_of(str(token)))

    def duration(self, token: Token) -> Any:
        match = re.fullmatch(r"(-?\d+)(\w+)", token)
        assert match
        return ("duration", int(match.group(1)) * _UNITS[match.group(2)])

    def whole(self, token: Token) -> int:
        return int(token)

    def yes(self) -> bool:
        return True

    def no(self) -> bool:
        return False

    def array(self, *values: Any) -> list[Any]:
        return [value for value in values if value is not None]

    def name(self, token: Token) -> Name:
        return Name(str(token))


_PARSER = Lark(_GRAMMAR, parser="lalr", maybe_placeholders=True)


def _text(token: str) -> str:
    named = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda match: named.get(match.group(1), match.group(1)), token[1:-1])


def nanos_of(text: str) -> int:
    """An RFC 3339 time."""
    match = _DATE.fullmatch(text)
    if match is None:
        raise Refused(400, "invalid", f"compilation failed: invalid time {text!r}")
    whole = datetime.strptime(match.group(1) + "+0000", "%Y-%m-%dT%H:%M:%S%z")
    seconds = (whole - datetime(1970, 1, 1, tzinfo=UTC)).days * 86_400
    seconds += whole.hour * 3600 + whole.minute * 60 + whole.second
    return seconds * 10**9 + int((match.group(2) or "").ljust(9, "0"))


def externals(tree: Any) -> dict[str, Any]:
    """The values that a request's `extern` gives to names: options whose values are literals."""
    if tree is None:
        return {}
    given: dict[str, Any] = {}
    readers: dict[str, Callable[[Any], Any]] = {
        "StringLiteral": str, "IntegerLiteral": int, "FloatLiteral": float, "BooleanLiteral": bool,
        "DateTimeLiteral": lambda value: Time(nanos_of(value)),
    }  # fmt: skip
    try:
        if not {*tree} <= {"type", "package", "imports", "body"} or tree.get("imports"):
            raise KeyError("a file with no imports")
        for statement in tree["body"]:
            assignment = statement["assignment"]
            if (statement["type"], assignment["type"]) != ("OptionStatement", "VariableAssignment"):
                raise KeyError("an option")
            literal = assignment["init"]
            given[assignment["id"]["name"]] = readers[literal["type"]](literal["value"])
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(400, "invalid", f"invalid json: extern: {json.dumps(str(error))}") from error
    return given


def run(text: str, extern: dict[str, Any], buckets: dict[str, Bucket], now: int) -> list[Table]:
    """Carries out a query. Raises Refused and Failed."""
    try:
        calls = _Reader().transform(_PARSER.parse(text))
    except UnexpectedInput as error:
        raise Refused(400, "invalid", f"compilation failed: error @{error.line}:{error.column}: {error}") from error
    (source, from_arguments), *pipe = calls
    if source != "from" or not pipe or pipe[0][0] != "range":
        raise Refused(400, "invalid", "compilation failed: cannot submit unbounded read; try from() and range()")
    name = _argument(from_arguments, "bucket", str, extern)
    if name not in buckets:
        raise Refused(404, "not found", f'failed to initialize execute state: could not find bucket "{name}"')
    filters = [one for one in pipe[1:] if one[0] == "filter"]
    if pipe[1 : 1 + len(filters)] != filters:
        raise Refused(400, "invalid", "compilation failed: a filter that isn't the storage's own is not served here")
    tables = _read(buckets[name], pipe[0][1], [_condition(one[1].get("fn"), extern) for one in filters], extern, now)
    for operation, arguments in pipe[1 + len(filters) :]:
        if operation not in _OPERATIONS:
            raise Refused(400, "invalid", f"compilation failed: error @1:1: undefined identifier {operation}")
        tables = _OPERATIONS[operation](tables, arguments, extern)
    return tables


def _argument(arguments: dict[str, Any], name: str, kind: type, extern: dict[str, Any]) -> Any:
    value = arguments.get(name)
    if isinstance(value, Name):
        if value.name not in extern:
            raise Refused(400, "invalid", f"compilation failed: error @1:1: undefined identifier {value.name}")
        value = extern[value.name]
    if type(value) is not kind:
        raise Refused(400, "invalid", f"compilation failed: error @1:1: expected {kind.__name__} for {name}")
    return value


def _time(arguments: dict[str, Any], name: str, extern: dict[str, Any], now: int) -> int:
    value = arguments.get(name)
    if isinstance(value, tuple):
        return now + int(value[1])
    found: Time = _argument(arguments, name, Time, extern)
    return found.nanos


def _condition(function: Any, extern: dict[str, Any]) -> Condition:
    if not isinstance(function, tuple) or function[0] != "fn":
        raise Refused(400, "invalid", "compilation failed: error @1:1: filter needs a function")
    return _compiled(function[1], extern)


def _compiled(tree: Any, extern: dict[str, Any]) -> Condition:
    if tree[0] == "==":
        column, value = tree[1], _argument({"value": tree[2]}, "value", str, extern)
        return lambda row: row.get(column) == value
    parts = [_compiled(part, extern) for part in tree[1:]]
    every = all if tree[0] == "and" else any
    return lambda row: every(part(row) for part in parts)


def _read(
    bucket: Bucket, arguments: dict[str, Any], filters: Sequence[Condition], extern: dict[str, Any], now: int
) -> list[Table]:
    start = _time(arguments, "start", extern, now)
    stop = _time(arguments, "stop", extern, now) if "stop" in arguments else now
    if start >= stop:
        raise Refused(400, "invalid", "compilation failed: error in building plan: cannot query an empty range")
    tables = list[Table]()
    for key in sorted(bucket.series):
        tags: Row = {"_field": key.field, "_measurement": key.measurement, **dict(key.tags)}
        if not all(one(tags) for one in filters):
            continue
        fixed: Row = {"_start": Instant(start), "_stop": Instant(stop)}
        by_type: dict[str, Table] = {}
        for time, value in bucket.points(key, start, stop):
            kind = type_of(value)
            types = {"_start": "time", "_stop": "time", "_time": "time", "_value": kind} | dict.fromkeys(tags, "string")
            if by_type and kind not in by_type:
                # Of one series, the storage reads on in the next shard as it began in the first.
                raise Failed(f"expected {next(iter(by_type))} cursor")
            table = by_type.setdefault(kind, Table(("_start", "_stop", *tags), types))
            table.rows.append({**fixed, "_time": Instant(time), "_value": value, **tags})
        tables += by_type.values()
    return tables


class Instant(int):
    """Nanoseconds since 1970, as a column holds them."""


def type_of(value: Value) -> str:
    """Flux's name of a value's type."""
    if isinstance(value, Instant):
        return "time"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, Unsigned):
        return "uint"
    return {int: "int", float: "float", str: "string"}[type(value)]


def _group(tables: list[Table], arguments: dict[str, Any], extern: dict[str, Any]) -> list[Table]:
    columns = arguments.get("columns") or []
    if {*arguments} - {"columns"} or not all(isinstance(one, str) for one in columns):
        raise Refused(400, "invalid", "compilation failed: error @1:1: group takes columns")
    return _regrouped(tables, lambda table: tuple(one for one in columns if one in table.types))


def _regrouped(tables: list[Table], key_of: Callable[[Table], tuple[str, ...]]) -> list[Table]:
    groups: dict[tuple[object, ...], Table] = {}
    for table in tables:
        key = key_of(table)
        for row in table.rows:
            name = tuple((column, row[column]) for column in key)
            group = groups.setdefault(name, Table(key, {}))
            for column, kind in table.types.items():
                if group.types.setdefault(column, kind) != kind:
                    raise Failed(f"schema collision: cannot group {group.types[column]} and {kind} types together")
            group.rows.append(row)
    return [groups[name] for name in sorted(groups, key=str)]


def _without(tables: list[Table], dropped: Callable[[str], bool]) -> list[Table]:
    shorter = [
        Table(
            tuple(one for one in table.key if not dropped(one)),
            {column: kind for column, kind in table.types.items() if not dropped(column)},
            [{column: value for column, value in row.items() if not dropped(column)} for row in table.rows],
        )
        for table in tables
    ]
    if len({(table.key, tuple(str(table.rows[0].get(one)) for one in table.key)) for table in shorter}) == len(shorter):
        return shorter
    return _regrouped(shorter, lambda table: table.key)


def _drop(tables: list[Table], arguments: dict[str, Any], extern: dict[str, Any]) -> list[Table]:
    return _without(tables, lambda column: column in arguments["columns"])


def _keep(tables: list[Table], arguments: dict[str, Any], extern: dict[str, Any]) -> list[Table]:
    return _without(tables, lambda column: column not in arguments["columns"])


def _last(tables: list[Table], arguments: dict[str, Any], extern: dict[str, Any]) -> list[Table]:
    return [Table(table.key, table.types, table.rows[-1:]) for table in tables]


_OPERATIONS = {"group": _group, "drop": _drop, "keep": _keep, "last": _last}
