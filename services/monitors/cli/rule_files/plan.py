"""From files and the rules that there are to what must be done, and what that changes. Decides; asks nobody."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from monitors.cli.rule_files.fields import FIELDS, Value, entry_of, name_of
from monitors.cli.rule_files.problems import Place, Problems
from monitors.cli.rule_files.reading import FileRule, RuleFile
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule


class Action(StrEnum):
    """What is done to a rule."""

    DELETE = "delete"
    CHANGE = "change"
    ADOPT = "adopt"
    CREATE = "create"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that may have to be done; the mesh tells whether a change of a rule changes anything."""

    action: Action
    key: str
    place: Place
    change: pb.RuleChange
    wanted: FileRule | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """What a step does. Differences are before and after by field, None where there is nothing."""

    action: Action
    step: Step
    result: pb.RuleChangeResult
    differences: Mapping[str, tuple[Value | None, Value | None]]

    @property
    def rule(self) -> Rule:
        """The rule as it will be, or was if it's deleted."""
        return self.result.previous if self.action is Action.DELETE else self.result.rule


def steps_of(
    files: Sequence[RuleFile], known: Iterable[Rule], by_hand: Iterable[Rule], problems: Problems, *, prune: bool
) -> list[Step]:
    """What must be done so that the rules are as the files say.

    `known` are the rules of the files' namespaces, and `by_hand` those without a key that may be adopted by their
    titles and monitors. With `prune` the known rules that no file has are deleted.
    """
    there = {rule.key: rule for rule in known}
    wanted = {rule.key: rule for file in files for rule in file.rules}
    adoptable: dict[tuple[Value, Value], list[Rule]] = {}
    for rule in by_hand:
        adoptable.setdefault((rule.monitor_id, rule.title), []).append(rule)
    steps = [_deletion(rule, files) for key, rule in sorted(there.items()) if prune and key not in wanted]
    for key, own in wanted.items():
        candidates = [there[key]] if key in there else adoptable.get((own.values["monitor"], own.values["title"]), [])
        if len(candidates) > 1:
            ids = ", ".join(one.id for one in candidates)
            problems.add(
                own.place,
                f"{key}: {len(candidates)} rules have this monitor and title ({ids}); choose one with "
                f"`monitors rules update ID --key {key}`",
            )
        elif candidates:
            steps.append(_update(own, candidates[0]))
        else:
            create = pb.CreateRuleRequest(rule=own.message())
            steps.append(Step(Action.CREATE, key, own.place, pb.RuleChange(create=create), own))
    return steps


def _deletion(rule: Rule, files: Sequence[RuleFile]) -> Step:
    request = pb.DeleteRuleRequest(rule_id=rule.id, etag=rule.etag)
    namespace = rule.key.partition("/")[0]
    file = next(file.file for file in files if file.namespace == namespace)
    return Step(Action.DELETE, rule.key, Place(file, 1), pb.RuleChange(delete=request))


def _update(wanted: FileRule, current: Rule) -> Step:
    message = wanted.message()
    message.id, message.etag = current.id, current.etag
    request = pb.UpdateRuleRequest(rule=message)
    # What the file leaves out goes back to its default; what no file says, such as a snooze, stays.
    said = [field.path for field in FIELDS if field.name in wanted.values or field.get(current) != field.default]
    request.update_mask.paths[:] = ["key", *said]
    action = Action.CHANGE if current.key else Action.ADOPT
    return Step(action, wanted.key, wanted.place, pb.RuleChange(update=request), wanted)


def change_of(step: Step, result: pb.RuleChangeResult) -> Change:
    """What a step does, by what the mesh says of it."""
    before = _flat(result.previous) if result.HasField("previous") else {}
    after = _flat(result.rule) if result.HasField("rule") else {}
    differing = [name for name in {**after, **before} if before.get(name) != after.get(name)]
    is_same = step.action is Action.CHANGE and result.previous.etag == result.rule.etag
    differences = {name: (before.get(name), after.get(name)) for name in differing}
    return Change(Action.NOTHING if is_same else step.action, step, result, differences)


def _flat(rule: Rule) -> dict[str, Value]:
    """The rule's fields, labels and annotations each for itself."""
    found: dict[str, Value] = {"key": rule.key} if rule.key else {}
    for name, value in entry_of(rule).items():
        if isinstance(value, dict):
            found |= {f"{name}.{each}": text for each, text in value.items()}
        else:
            found[name] = value
    return found


def note_problems(step: Step, result: pb.RuleChangeResult, problems: Problems) -> None:
    """Notes why the mesh would refuse a step, each where the file says what is wrong."""
    for problem in result.problems:
        name = name_of(problem.field)
        place = step.wanted.place_of(name) if step.wanted else step.place
        problems.add(place, ": ".join(filter(None, (step.key, name, problem.description))))
