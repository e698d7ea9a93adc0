"""From what a client sent to a rule: defaults, masks, the two spellings of a condition, and all violations at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitors.mesh.errors import InvalidCondition, InvalidField, InvalidFields, UnknownChannel
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import MINUTE
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.conditions.parse import LONGEST_CONDITION_TEXT, parse_condition
from monitors.rules.model.catalogue import Field, did_you_mean, resolve, unknown_monitor
from monitors.rules.model.channels import KnownChannel
from monitors.rules.model.condition import Absence, Condition
from monitors.rules.model.condition_checks import check_condition
from monitors.rules.model.condition_parts import agree
from monitors.rules.model.levels import StatedLevel, check_levels, read_level
from monitors.rules.model.quantities import listed, shown
from monitors.rules.model.rule import DEFAULTS, Level, Rule, changed, check_rule

TEXT_PATH = "rule.condition_text"
CONDITION_PATHS = ("condition_text", "condition")
# The contract's names.
SETTABLE = tuple(sorted({*DEFAULTS, *CONDITION_PATHS, "snooze_until_time"} - {"snooze_until"}))
OUTPUT_ONLY = ("id", "create_time", "update_time", "creator", "updater", "etag", "open_alert_count")
# Stands in for a condition that can't be read, so that everything else can still be checked.
_UNREADABLE = Absence(MINUTE)


@dataclass(frozen=True, slots=True)
class Draft:
    """A rule as a client sent it: only what was set. `errors` says what of it couldn't be read at all."""

    values: Mapping[str, Any] = field(default_factory=dict)
    """Levels as they were stated."""
    text: str = ""
    condition: Condition | None = None
    errors: tuple[InvalidField, ...] = ()

    @property
    def paths(self) -> set[str]:
        """The contract's names of what is set."""
        spellings = [path for path, given in zip(CONDITION_PATHS, (self.text, self.condition), strict=True) if given]
        return {*self.values, *spellings}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A rule that isn't valid unless `errors` is empty. `path` is where its condition came from."""

    rule: Rule
    path: str
    errors: tuple[InvalidField, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a rule refers to, as it is known: the monitors it means, their fields, and the channels."""

    monitor_ids: Sequence[str]
    """Those that the rule's monitor_id names; empty if it names none."""
    fields: Sequence[Field]
    others: Sequence[str]
    """Other monitors, for the error."""
    channels: Mapping[str, KnownChannel]
    """By their names."""


def propose_new(draft: Draft) -> Proposal:
    """A new rule from a draft, with the defaults filled in."""
    stated = _choose(draft, set(CONDITION_PATHS) & draft.paths, None)
    errors = [*draft.errors, *stated.errors]
    if not stated.condition and not any(error.field.startswith("rule.condition") for error in errors):
        errors.append(InvalidCondition(TEXT_PATH, "is missing; say when to fire, such as `avg(cpu_percent, 5m) > 90`"))
    values = {**DEFAULTS, **draft.values}
    if stated.for_duration is not None:
        values["for_duration"] = stated.for_duration
    condition = stated.condition or _UNREADABLE
    values["levels"] = _levels(values["levels"], stated.condition, errors)
    rule = Rule(condition=condition, stated=condition_text(condition), **values)
    return _checked(rule, stated.path, errors, condition if stated.condition else None)


def propose_change(current: Rule, draft: Draft, mask: Collection[str] | None) -> Proposal:
    """The rule changed as the mask says; without a mask everything that is set. An unset field that the mask names
    goes back to its default. Raises InvalidField for a path that isn't a rule's."""
    paths = draft.paths if mask is None else _readable(mask)
    stated = _choose(draft, set(CONDITION_PATHS) & paths, current)
    values = {name: draft.values.get(name, default) for name, default in DEFAULTS.items() if name in paths}
    if stated.for_duration is not None:
        values["for_duration"] = stated.for_duration
    errors = [*draft.errors, *stated.errors]
    if mask is not None and set(CONDITION_PATHS) & paths and not set(CONDITION_PATHS) & draft.paths:
        errors.append(InvalidCondition(TEXT_PATH, "is named by the mask but empty; say when to fire"))
    if stated.condition:
        values |= {"condition": stated.condition, "stated": condition_text(stated.condition)}
    if "levels" in values:
        values["levels"] = _levels(values["levels"], stated.condition or current.condition, errors)
    return _checked(changed(current, values), stated.path, errors, stated.condition)


def _levels(
    stated: Sequence[StatedLevel], condition: Condition | None, errors: list[InvalidField]
) -> tuple[Level, ...]:
    """The levels by severity; those that can't be read are left out and noted."""
    found = []
    # Without a condition there is nothing that they could be read against.
    for number, each in enumerate(stated):
        if condition is None:
            break
        try:
            found.append(read_level(each, condition, f"rule.levels[{number}]"))
        except InvalidField as error:
            errors.append(error)
    return tuple(sorted(found, key=lambda level: level.severity))


def _checked(rule: Rule, path: str, errors: list[InvalidField], condition: Condition | None) -> Proposal:
    errors += check_rule(rule)
    errors += check_levels(rule)
    if condition:
        errors += check_condition(condition, path)
        if len(rule.stated) > LONGEST_CONDITION_TEXT:
            errors.append(InvalidCondition(path, f"is too long; as text it has more than {LONGEST_CONDITION_TEXT:,}"))
    return Proposal(rule, path, tuple(errors))


def _readable(mask: Collection[str]) -> set[str]:
    """The paths of a mask, `snooze_until_time` under the model's name."""
    if "*" in mask:
        return {*DEFAULTS, *CONDITION_PATHS}
    for path in mask:
        if path in OUTPUT_ONLY:
            raise InvalidField("update_mask", f"{path!r} can't be changed; name some of {', '.join(SETTABLE)}")
        if path not in SETTABLE:
            hint = did_you_mean(path, SETTABLE)
            raise InvalidField(
                "update_mask", f"{shown(path)} isn't a field of a rule{hint}; name whole fields: {', '.join(SETTABLE)}"
            )
    return {"snooze_until" if path == "snooze_until_time" else path for path in mask}


@dataclass(frozen=True, slots=True)
class _Stated:
    condition: Condition | None
    for_duration: int | None
    path: str
    errors: tuple[InvalidField, ...] = ()


def _choose(draft: Draft, paths: set[str], current: Rule | None) -> _Stated:
    """The condition that is meant, where a client may have sent back both spellings as it got them."""
    text = draft.text if "condition_text" in paths else ""
    condition = draft.condition if "condition" in paths else None
    kept = None
    if current and text and text == current.condition_text:
        # It says for how long, unless that is said beside it.
        kept = None if "for_duration" in draft.values else current.for_duration
        text = ""
    if current and condition == current.condition:
        condition = None
    if not text:
        return _Stated(condition, None if condition else kept, "rule.condition")
    try:
        parsed = parse_condition(text, TEXT_PATH)
    except InvalidField as error:
        return _Stated(None, None, TEXT_PATH, (error,))
    errors: list[InvalidField] = []
    if condition and not agree(parsed.condition, condition):
        errors.append(
            InvalidCondition(
                TEXT_PATH,
                f"says `{condition_text(parsed.condition)[:200]}` while condition says "
                f"`{condition_text(condition)[:200]}`; send one of the two",
            )
        )
    said = parsed.for_duration
    given = draft.values.get("for_duration")
    if said is not None and given is not None and given != said:
        if current and given == current.for_duration:
            pass
        elif current and said == current.for_duration:
            said = None
        else:
            errors.append(
                InvalidField(
                    "rule.for_duration",
                    f"is {format_duration(given)} while the condition's text says `for {format_duration(said)}`; "
                    "say it once",
                )
            )
    return _Stated(parsed.condition, said, TEXT_PATH, tuple(errors))


def settle(proposal: Proposal, surroundings: Surroundings, current: Rule | None = None) -> Rule:
    """The rule with everything that it refers to found. Raises InvalidFields with all violations at once.

    `current` is the rule before a change: what the change leaves alone isn't checked anew, so that a rule whose
    monitor has been silent for long can still be turned off.
    """
    rule, errors = proposal.rule, list(proposal.errors)
    same_target = current is not None and (rule.monitor_id, rule.condition) == (current.monitor_id, current.condition)
    if not same_target and not any(error.field == "rule.monitor_id" for error in errors):
        if not surroundings.monitor_ids:
            errors.append(unknown_monitor("rule.monitor_id", rule.monitor_id, surroundings.others))
        else:
            condition, found = resolve(rule.condition, rule.monitor_id, surroundings.fields, proposal.path)
            rule = changed(rule, {"condition": condition})
            errors += found
    if current is None or rule.notify != current.notify:
        errors += _unknown_channels(rule.notify, surroundings.channels)
    if errors:
        raise InvalidFields.of(errors)
    return rule


def _unknown_channels(names: Iterable[str], channels: Collection[str]) -> list[InvalidField]:
    there_are = f"there are {listed(sorted(channels))}" if channels else "there are no channels yet; make one first"
    return [
        UnknownChannel(
            "rule.notify",
            f"there is no channel {shown(name)}{did_you_mean(name, list(channels))}; {there_are}",
            channel=name[:64],
        )
        for name in dict.fromkeys(names)
        if name not in channels
    ]
