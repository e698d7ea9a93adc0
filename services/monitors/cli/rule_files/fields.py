"""The fields of a rule in a file: how each is read, what it is when it's left out, and where the contract has it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitors.cli.choices import word_of
from monitors.cli.durations import format_duration, parse_duration
from monitors.cli.rule_files.nodes import Entries, Items, Node, Scalar
from monitors.mesh.times import from_duration, to_duration
from monitors.v1 import rule_pb2
from monitors.v1.rule_pb2 import Rule

Value = str | bool | list[str] | dict[str, str]
"""As it stands in a file: a duration is its canonical text, a choice its word."""


class Unfit(Exception):
    """A value that the field can't have. The message says what it takes."""


@dataclass(frozen=True, slots=True)
class Field:
    """`name` in the file is `path` in the contract. One without a default must be there."""

    name: str
    path: str
    read: Callable[[Node], Value]
    get: Callable[[Rule], Value]
    put: Callable[[Rule, Any], None]
    default: Value | None = None


def read_text(node: Node) -> str:
    """A text, taken as it was written. Raises Unfit."""
    if not isinstance(node, Scalar):
        raise Unfit("must be a text")
    if node.is_null:
        raise Unfit("is empty; say what it is, or leave the line out")
    return node.text


def read_nanos(node: Node) -> int:
    """Nanoseconds. Raises Unfit."""
    try:
        return parse_duration(read_text(node))
    except ValueError as error:
        raise Unfit(str(error)) from None


def read_names(node: Node) -> list[str]:
    """A list of texts. Raises Unfit."""
    if not isinstance(node, Items):
        raise Unfit("must be a list, such as [ops, mail]")
    return [read_text(item) for item in node.items]


def read_pairs(node: Node) -> dict[str, str]:
    """Texts by name. Raises Unfit."""
    if not isinstance(node, Entries):
        raise Unfit("must be names and texts, such as {team: web}")
    pairs = {}
    for name, value in node.entries.items():
        try:
            pairs[name] = read_text(value)
        except Unfit as error:
            raise Unfit(f"{name}: {error}") from None
    return pairs


def read_levels(node: Node) -> dict[str, str]:
    """Bounds by severity, the lowest first. Raises Unfit."""
    if not isinstance(node, Entries):
        raise Unfit('must be severities and bounds, such as {critical: "> 95 recover < 90"}')
    levels = {}
    for name, text in read_pairs(node).items():
        word = name.lower()
        if word not in SEVERITIES:
            raise Unfit(f"{name[:60]!r} isn't one of {', '.join(SEVERITIES)}")
        if word in levels:
            raise Unfit(f"{word} is said twice")
        levels[word] = text
    return dict(sorted(levels.items(), key=lambda level: SEVERITIES.index(level[0])))


def read_flag(node: Node) -> bool:
    """True or false. Raises Unfit."""
    word = read_text(node).lower()
    if word not in _FLAGS:
        raise Unfit(f"{word[:60]!r} is neither true nor false")
    return _FLAGS[word]


SEVERITIES = ("low", "medium", "high", "critical")
_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def _text(name: str, path: str) -> Field:
    return Field(
        name, path, read_text, lambda rule: str(getattr(rule, path)), lambda rule, text: setattr(rule, path, text)
    )


def _duration(name: str, path: str, default: str) -> Field:
    def put(rule: Rule, text: str) -> None:
        getattr(rule, path).CopyFrom(to_duration(parse_duration(text)))

    return Field(
        name,
        path,
        lambda node: format_duration(read_nanos(node)),
        lambda rule: format_duration(from_duration(getattr(rule, path))),
        put,
        default,
    )


def _choice(name: str, path: str, enumeration: Any, words: tuple[str, ...], default: str) -> Field:
    prefix = enumeration.DESCRIPTOR.values[0].name.removesuffix("UNSPECIFIED")

    def read(node: Node) -> str:
        word = read_text(node).lower()
        if word not in words:
            raise Unfit(f"{word[:60]!r} isn't one of {', '.join(words)}")
        return word

    def put(rule: Rule, word: str) -> None:
        setattr(rule, path, enumeration.Value(prefix + word.upper()))

    return Field(name, path, read, lambda rule: word_of(enumeration, getattr(rule, path)), put, default)


def _names(name: str, path: str) -> Field:
    def put(rule: Rule, names: list[str]) -> None:
        getattr(rule, path)[:] = names

    return Field(name, path, read_names, lambda rule: list(getattr(rule, path)), put, [])


def _pairs(name: str, path: str) -> Field:
    def put(rule: Rule, pairs: Mapping[str, str]) -> None:
        getattr(rule, path).update(pairs)

    return Field(name, path, read_pairs, lambda rule: dict(sorted(getattr(rule, path).items())), put, {})


def _levels(rule: Rule) -> dict[str, str]:
    return {word_of(rule_pb2.Severity, level.severity): level.condition_text for level in rule.levels}


def _put_levels(rule: Rule, levels: Mapping[str, str]) -> None:
    for word, text in levels.items():
        rule.levels.add(severity=rule_pb2.Severity.Value(f"SEVERITY_{word.upper()}"), condition_text=text)


def _condition(rule: Rule) -> str:
    """The condition less its `for` clause, with which its text ends exactly where there is one."""
    nanos = from_duration(rule.for_duration)
    return rule.condition_text.removesuffix(f" for {format_duration(nanos)}") if nanos else rule.condition_text


FIELDS = (
    _text("monitor", "monitor_id"),
    _text("title", "title"),
    Field(
        "condition",
        "condition_text",
        read_text,
        _condition,
        lambda rule, text: setattr(rule, "condition_text", text),
    ),
    _choice("severity", "severity", rule_pb2.Severity, SEVERITIES, "medium"),
    Field("levels", "levels", read_levels, _levels, _put_levels, {}),
    _duration("for", "for_duration", "0s"),
    _duration("keep_firing_for", "keep_firing_for", "0s"),
    _duration("cooldown", "cooldown", "5m"),
    _duration("repeat", "repeat_interval", "4h"),
    _duration("interval", "interval", "30s"),
    _choice("evaluate", "evaluation_mode", rule_pb2.EvaluationMode, ("every_point", "interval"), "every_point"),
    _choice("no_data", "no_data_policy", rule_pb2.MissingPolicy, ("ok", "alert", "keep"), "keep"),
    _choice(
        "missing_series",
        "missing_series_policy",
        rule_pb2.MissingPolicy,
        ("ok", "alert", "keep", "resolve"),
        "resolve",
    ),
    _names("group_by", "group_by"),
    _names("notify", "notify"),
    _pairs("labels", "labels"),
    _pairs("annotations", "annotations"),
    Field(
        "enabled",
        "enabled",
        read_flag,
        lambda rule: not rule.HasField("enabled") or rule.enabled,
        lambda rule, flag: setattr(rule, "enabled", flag),
        True,
    ),
)
"""All but the key, in the order in which they are written. The defaults are the contract's."""
BY_NAME = {field.name: field for field in FIELDS}
REQUIRED = tuple(field.name for field in FIELDS if field.default is None)
_NAME_OF_PATH = {f"rule.{field.path}": field.name for field in FIELDS} | {"rule.condition": "condition"}


def name_of(path: str) -> str:
    """What a file calls a field of the contract, be it a part of one: `levels` for `rule.levels[0].condition_text`."""
    return _NAME_OF_PATH.get(path.partition("[")[0], path.removeprefix("rule."))


def entry_of(rule: Rule) -> dict[str, Value]:
    """A rule of the mesh as a file would say it, with nothing left out."""
    return {field.name: field.get(rule) for field in FIELDS}


def put_entry(values: Mapping[str, Value], rule: Rule) -> None:
    """Puts what a file says into a rule's message."""
    for name, value in values.items():
        BY_NAME[name].put(rule, value)
