"""Rule messages and the model's rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import from_duration, from_timestamp, to_duration, to_timestamp
from monitors.rules.conditions.canonical import level_text
from monitors.rules.model.condition import Comparison
from monitors.rules.model.drafting import Draft
from monitors.rules.model.episodes import RuleFacts
from monitors.rules.model.levels import StatedLevel
from monitors.rules.model.quantities import shown
from monitors.rules.model.rule import EvaluationMode, Level, MissingPolicy, Rule, Severity, with_for_clause
from monitors.rules.model.texts import Texts
from monitors.rules.store.rules import StoredRule
from monitors.rules.translate.conditions import condition_from_proto, condition_to_proto
from monitors.v1 import rule_pb2 as pb

_SEVERITIES = {int(severity): severity for severity in Severity}
_DURATIONS = ("for_duration", "keep_firing_for", "cooldown", "repeat_interval", "interval")
_ENUMS: Mapping[str, Callable[[int], Any]] = {
    "severity": Severity,
    "no_data_policy": MissingPolicy,
    "missing_series_policy": MissingPolicy,
    "evaluation_mode": EvaluationMode,
}


def draft_from_proto(message: pb.Rule) -> Draft:
    """What a client has set of a rule."""
    errors: list[InvalidField] = []
    values: dict[str, Any] = {
        name: getattr(message, name) for name in ("key", "monitor_id", "title") if getattr(message, name)
    }
    for name in _DURATIONS:
        if message.HasField(name):  # type: ignore[arg-type]
            values[name] = _duration(getattr(message, name), f"rule.{name}", errors)
    for name, kind in _ENUMS.items():
        if number := getattr(message, name):
            try:
                values[name] = kind(number)
            except ValueError:
                errors.append(InvalidField(f"rule.{name}", f"{number} isn't one of its values; see the contract"))
    if message.levels:
        values["levels"] = tuple(_levels_from_proto(message.levels, errors))
    if message.group_by:
        values["group_by"] = tuple(sorted(message.group_by))
    if message.notify:
        values["notify"] = tuple(message.notify)
    for name in ("labels", "annotations"):
        if pairs := dict(getattr(message, name)):
            values[name] = pairs
    if message.HasField("enabled"):
        values["enabled"] = message.enabled
    if message.HasField("snooze_until_time"):
        values["snooze_until"] = _time(message.snooze_until_time, "rule.snooze_until_time", errors)
    condition = None
    if message.HasField("condition"):
        try:
            condition = condition_from_proto(message.condition)
        except InvalidField as error:
            errors.append(error)
    return Draft(values, message.condition_text, condition, tuple(errors))


def _levels_from_proto(messages: Sequence[pb.Level], errors: list[InvalidField]) -> Iterator[StatedLevel]:
    for number, message in enumerate(messages):
        path = f"rule.levels[{number}]"
        severity = _SEVERITIES.get(message.severity)
        if severity is None:
            errors.append(
                InvalidField(f"{path}.severity", f"is {message.severity}; send LOW, MEDIUM, HIGH or CRITICAL")
            )
            continue
        parts = []
        for name in ("condition", "reset"):
            try:
                given = getattr(message, name)
                parts.append(condition_from_proto(given) if message.HasField(name) else None)
            except InvalidField as error:
                errors.append(InvalidField(f"{path}.{name}", error.violations[0].description))
                break
        else:
            yield StatedLevel(severity, message.condition_text, *parts)


def _level_to_proto(level: Level, condition: Comparison) -> pb.Level:
    message = pb.Level(
        severity=int(level.severity),  # type: ignore[arg-type]
        condition=condition_to_proto(replace(condition, test=level.test, recover=None)),
        condition_text=level_text(condition.left, level),
    )
    if level.reset:
        message.reset.CopyFrom(condition_to_proto(replace(condition, test=level.reset, recover=None)))
    return message


def _level_from_stored(message: pb.Level) -> Level:
    entered = condition_from_proto(message.condition)
    reset = condition_from_proto(message.reset) if message.HasField("reset") else None
    if not isinstance(entered, Comparison) or not (reset is None or isinstance(reset, Comparison)):
        raise ValueError("a level that was remembered doesn't compare a value")
    return Level(_SEVERITIES[message.severity], entered.test, reset.test if reset else None)


def _duration(message: Duration, path: str, errors: list[InvalidField]) -> int:
    if abs(message.nanos) >= 10**9 or message.seconds * message.nanos < 0:
        errors.append(InvalidField(path, f"has {message.nanos} nanos; send -999,999,999 to 999,999,999 of one sign"))
        return 0
    return from_duration(message)


def _time(message: Timestamp, path: str, errors: list[InvalidField]) -> int:
    if not 0 <= message.nanos < 10**9:
        errors.append(InvalidField(path, f"has {message.nanos} nanos; send 0 to 999,999,999"))
        return 0
    return from_timestamp(message)


def rule_to_proto(rule: Rule) -> pb.Rule:
    """The message with everything but the number of open alerts."""
    message = pb.Rule(
        id=rule.id,
        key=rule.key,
        monitor_id=rule.monitor_id,
        title=rule.title,
        condition=condition_to_proto(rule.condition),
        condition_text=rule.condition_text,
        group_by=rule.group_by,
        notify=rule.notify,
        labels=rule.labels,
        annotations=rule.annotations,
        enabled=rule.enabled,
        creator=rule.creator,
        updater=rule.updater,
        etag=rule.etag if rule.revision else "",
    )
    for name in _DURATIONS:
        getattr(message, name).CopyFrom(to_duration(getattr(rule, name)))
    for name in _ENUMS:
        setattr(message, name, int(getattr(rule, name)))
    if isinstance(rule.condition, Comparison):
        message.levels.extend(_level_to_proto(level, rule.condition) for level in rule.levels)
    if rule.snooze_until is not None:
        message.snooze_until_time.CopyFrom(to_timestamp(rule.snooze_until))
    if rule.create_time:
        message.create_time.CopyFrom(to_timestamp(rule.create_time))
        message.update_time.CopyFrom(to_timestamp(rule.update_time))
    return message


def rule_from_stored(stored: StoredRule) -> Rule:
    """The rule that was remembered."""
    message = pb.Rule.FromString(stored.body)
    values: dict[str, Any] = {name: from_duration(getattr(message, name)) for name in _DURATIONS}
    enums = {name: kind(getattr(message, name)) for name, kind in _ENUMS.items()}
    return Rule(
        id=stored.id,
        key=message.key,
        monitor_id=message.monitor_id,
        title=message.title,
        condition=condition_from_proto(message.condition),
        # The canonical text ends with the `for` clause exactly where there is one.
        stated=message.condition_text.removesuffix(with_for_clause("", values["for_duration"])),
        levels=tuple(map(_level_from_stored, message.levels)),
        group_by=tuple(message.group_by),
        notify=tuple(message.notify),
        labels=dict(message.labels),
        annotations=dict(message.annotations),
        enabled=message.enabled,
        snooze_until=from_timestamp(message.snooze_until_time) if message.HasField("snooze_until_time") else None,
        create_time=from_timestamp(message.create_time),
        update_time=from_timestamp(message.update_time),
        creator=message.creator,
        updater=message.updater,
        revision=stored.revision,
        **values,
        **enums,
    )


def stored_to_proto(stored: StoredRule, open_alert_count: int) -> pb.Rule:
    """The message of a remembered rule."""
    message = pb.Rule.FromString(stored.body)
    message.open_alert_count = open_alert_count
    return message


def facts_of(stored: StoredRule) -> RuleFacts:
    """What an alert takes from a remembered rule."""
    return _facts_in(stored.body)


@lru_cache(maxsize=16_384)
def _facts_in(body: bytes) -> RuleFacts:
    # Remembered for what fires again and again: to read a rule takes as long as to decide about its alert.
    message = pb.Rule.FromString(body)
    return RuleFacts(
        title=message.title,
        severity=_SEVERITIES[message.severity],
        levels=frozenset(_SEVERITIES[level.severity] for level in message.levels) if message.levels else _NO_LEVELS,
        condition_text=message.condition_text,
        labels=_texts(message.labels),
        annotations=_texts(message.annotations),
        channels=tuple(message.notify),
        cooldown=from_duration(message.cooldown),
        snooze_until=from_timestamp(message.snooze_until_time) if message.HasField("snooze_until_time") else None,
        repeat_interval=from_duration(message.repeat_interval),
    )


_NO_LEVELS: frozenset[Severity] = frozenset()
_NO_TEXTS = Texts.of({})


def _texts(found: Mapping[str, str]) -> Texts:
    # A protobuf map is made a dictionary twice as fast like this.
    return Texts.of({name: found[name] for name in found}) if found else _NO_TEXTS


def check_rule_id(rule_id: str) -> str:
    """The id of a request. Raises InvalidField if there is none."""
    if not rule_id:
        raise InvalidField(
            "rule_id", "is empty; send the rule's id, such as `rule_7k2m9x4cqv0d` (ListRules shows them)"
        )
    if len(rule_id) > 40:
        raise InvalidField("rule_id", f"{shown(rule_id)} isn't an id; send one such as `rule_7k2m9x4cqv0d`")
    return rule_id
