"""Levels of severity in plain words: at which one an instance is after a value."""

from monitors.evaluator.model.spec import RuleSpec


def own_level(spec: RuleSpec) -> int:
    """The level of the condition itself, 0 if there are no others."""
    return int(spec.severity or 0) if spec.levels else 0


def every_level(spec: RuleSpec) -> set[int]:
    """All levels that the rule has."""
    return {own_level(spec), *(int(level.severity) for level in spec.levels)}


def next_level(spec: RuleSpec, present: int, value: float, *, own_holds: bool) -> int:
    """The highest level that holds, 0 if none does: up at once; down only if the present one's reset lets it."""
    holding = [int(level.severity) for level in spec.levels if level.bounds.hold(value)]
    highest = max([*holding, own_level(spec) if own_holds else 0])
    if highest >= present:
        return highest
    resets = {int(level.severity): level.reset for level in spec.levels} | {own_level(spec): spec.recover}
    reset = resets[present]
    return present if reset is not None and not reset.hold(value) else highest
