"""The state machine: truths at instants in, changes of state and transitions out, for many instances at once.

Inactive → pending → firing → inactive, as alerting.md S1–S10 have it with "absent" meaning *false*, and with a third
truth, unknown, that the rule's policies turn into false, true, or a state that is kept with all of its clocks stopped.
A rule with levels fires while any of them holds; which one that is doesn't matter but to the severity that is told.
"""

from enum import IntEnum
from math import isnan
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import CHUNK, NEVER, UNSET, Booleans, Places, chunks, selection
from monitors.evaluator.model.condition import Truths, absence_due, recovered, silence_due, truths, unknown_policies
from monitors.evaluator.model.ladders import Levels
from monitors.evaluator.model.levels import following
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, MissingPolicy
from monitors.evaluator.model.state import CLOCKS, State, Status, Truth
from monitors.evaluator.model.window import Window

MISSING_INTERVALS = 2
"""After how many of its rule's intervals a series that is missing resolves (M2)."""
MOST_CHUNKS = 8
"""How many chunks are worked on together where there are as many kinds of conditions, which share them."""


class TransitionKind(IntEnum):
    """What happened to an instance; the numbers are those of monitors.v1.AlertEventKind."""

    FIRING = 1
    RESOLVED = 2
    SEVERITY_CHANGED = 5


class Transition(NamedTuple):
    """An instance began or ceased to fire, or goes on at another level. Times are nanoseconds."""

    key: InstanceKey
    revision: int
    kind: TransitionKind
    time: int
    """When, in the data's time."""
    episode: int
    """When the condition became true: the episode's number."""
    value: float | None
    """What decided; None if nothing is known, or it's a text."""
    reason: str
    """`condition`, `missing_series` or `updated`."""
    delay: int
    """How late it was decided."""
    level: int = 0
    """The severity from now on; 0 if it is over or the rule has no levels."""
    traceparent: str = ""
    """The W3C `traceparent` of what decided it, if that trace is followed."""


class Changes:
    """Transitions as they come up, by place."""

    def __init__(self) -> None:
        self._parts: list[tuple[NDArray[Any], ...]] = []

    def add(
        self, kind: TransitionKind, places: Places, times: Int64s, episodes: Int64s, values: Floats, unknown: Booleans,
        levels: Levels,
    ) -> None:  # fmt: skip
        """Notes transitions of one kind; `unknown` says that not the condition but its absence decided."""
        self._parts.append((np.full(len(places), kind), places, times, episodes, values, unknown, levels))

    def count(self, kind: TransitionKind) -> int:
        """How many of one kind there are."""
        return sum(len(places) for kinds, places, *_ in self._parts if kinds[0] == kind)

    def transitions(self, plan: Plan, now: int) -> list[Transition]:
        """The transitions in the order of their times; of one instance in the order in which they happened."""
        if not self._parts:
            return []
        columns = [np.concatenate(column) for column in zip(*self._parts, strict=True)]
        order = np.argsort(columns[2], kind="stable")
        kinds, places, times, episodes, values, *others = (column[order] for column in columns)
        # The number that stands for a text tells nobody anything.
        values[plan.profiles.of_text[plan.instances.profile[places]]] = np.nan
        lists = [column.tolist() for column in (kinds, times, episodes, values, *others)]
        told = zip(plan.keys_of(places), plan.revisions_of(places), *lists, strict=True)
        return [
            Transition(
                key=key,
                revision=revision,
                kind=TransitionKind(kind),
                time=time,
                episode=episode,
                value=None if isnan(value) else value,
                reason="missing_series" if nothing_known else "condition",
                delay=max(0, now - time),
                level=level,
            )
            for key, revision, kind, time, episode, value, nothing_known, level in told
        ]


def evaluate(plan: Plan, window: Window, state: State, places: Places, times: Int64s, changes: Changes) -> None:
    """Evaluates distinct places, each at its own time, and moves their states on."""
    found = Truths.empty(len(places))
    # Of many kinds each has a share of the places only.
    for part in chunks(len(places), CHUNK * max(1, min(len(plan.profiles.terms), MOST_CHUNKS))):
        found.put(part, truths(plan, window, state, places[part], times[part]))
    apply(plan, window, state, selection(places), times, found, changes)


def apply(
    plan: Plan, window: Window, state: State, where: Places | slice, times: Int64s, found: Truths, changes: Changes
) -> None:
    """Moves the states of distinct places on by what their conditions say at their times."""
    stirring = _stirring(plan, state, where, found)
    for part in chunks(len(stirring)):
        some = stirring[part]
        places = some + where.start if isinstance(where, slice) else where[some]
        _move_on(plan, window, state, places, times[some], found.at(some), changes)


def _stirring(plan: Plan, state: State, where: Places | slice, found: Truths) -> Places:
    """Which don't stay as they are, counted from the first. What is at rest does unless a clock runs."""
    instances, profiles = state.instances, plan.profiles
    stirs = instances.status[where] != found.holds.view(np.int8)
    stirs |= instances.clocked[where]
    if profiles.level_count:
        stirs |= found.holds & profiles.has_levels[plan.instances.profile[where]]
    if profiles.waiting_count or profiles.alerting_count:
        numbers = plan.instances.profile[where]
        stirs |= profiles.waits[numbers]
        stirs |= found.unknown & profiles.alerting[numbers]
    return np.flatnonzero(stirs)


def _move_on(
    plan: Plan, window: Window, state: State, places: Places, times: Int64s, found: Truths, changes: Changes
) -> None:
    truth, resolving = _settled(plan, window, state, places, times, found)
    levels = np.zeros(len(places), dtype=np.int8)
    if plan.profiles.level_count:
        levels = following(plan, state, places, found.values)
        # Also where it enters none, as long as a reset keeps it at the one where it is.
        truth[(levels > 0) & ~found.unknown] = Truth.TRUE
    _move(plan, state, places, times, truth, found, resolving, levels, changes)
    schedule(plan, window, state, places, times)


def _settled(
    plan: Plan, window: Window, state: State, places: Places, times: Int64s, found: Truths
) -> tuple[NDArray[np.int8], Booleans]:
    """The Truth of each, after recover clauses and policies for the unknown; and which are missing to be resolved."""
    truth = np.where(found.unknown, Truth.UNKNOWN, found.holds).astype(np.int8)
    resolving = np.zeros(len(places), dtype=np.bool_)
    status, numbers = state.instances.status[places], plan.instances.profile[places]
    latched = np.flatnonzero((truth == Truth.FALSE) & (status == Status.FIRING) & plan.profiles.recovers[numbers])
    if len(latched):
        truth[latched] = ~recovered(plan, places[latched], found.values[latched])
    matters = plan.profiles.alerting[numbers] | (status != Status.INACTIVE)
    some = np.flatnonzero(found.unknown & matters)
    if len(some):
        applied, others_report = unknown_policies(plan, window, state, places[some], times[some])
        truth[some[applied == MissingPolicy.OK]] = Truth.FALSE
        truth[some[applied == MissingPolicy.ALERT]] = Truth.TRUE
        # What is at rest has nothing to resolve, and no clock that could run.
        resolving[some] = others_report & (applied == MissingPolicy.RESOLVE) & (status[some] != Status.INACTIVE)
    return truth, resolving


def _move(
    plan: Plan, state: State, places: Places, times: Int64s, truth: NDArray[np.int8], found: Truths,
    resolving: Booleans, levels: Levels, changes: Changes,
) -> None:  # fmt: skip
    instances, profiles, numbers = state.instances, plan.profiles, plan.instances.profile[places]
    status = instances.status[places]
    before = active_at, false_since, frozen_since, missing_since = instances.clocks(places)

    missing_since = np.where(resolving, np.where(missing_since == UNSET, times, missing_since), UNSET)
    gone = resolving & (times - missing_since >= MISSING_INTERVALS * profiles.interval[numbers])
    frozen = (truth == Truth.UNKNOWN) & ~gone & (status != Status.INACTIVE)

    thawed = ~frozen & (frozen_since != UNSET)
    stood_still = np.where(thawed, times - frozen_since, 0)
    active_at = np.where(status == Status.PENDING, active_at + stood_still, active_at)
    false_since = np.where(false_since != UNSET, false_since + stood_still, false_since)
    frozen_since = np.where(frozen, np.where(frozen_since == UNSET, times, frozen_since), UNSET)

    true, false = truth == Truth.TRUE, truth == Truth.FALSE
    starting = true & (status == Status.INACTIVE)
    active_at = np.where(starting, times, active_at)
    firing = true & (status != Status.FIRING) & (times - active_at >= profiles.for_duration[numbers])
    false_since = np.where(true, UNSET, false_since)
    ending = false & (status == Status.FIRING)
    false_since = np.where(ending & (false_since == UNSET), times, false_since)
    resolved = ending & (times - false_since >= profiles.keep_firing_for[numbers])
    resolved |= gone & (status == Status.FIRING)
    over = resolved | ((false | gone) & (status == Status.PENDING))

    after = np.where(starting, Status.PENDING, status)
    after = np.where(firing, Status.FIRING, after)
    after = np.where(over, Status.INACTIVE, after)
    changed, heard = after != status, ~instances.silent[places]
    told = {TransitionKind.FIRING: firing, TransitionKind.RESOLVED: resolved & heard}
    if profiles.level_count:
        levels = np.where(over, 0, levels)
        turned = true & (status == Status.FIRING) & (levels != instances.level[places])
        told[TransitionKind.SEVERITY_CHANGED] = turned & heard
        changed |= turned
        leveled = firing | turned | over
        instances.level[places[leveled]] = levels[leveled]
    decided = (active_at, found.values, found.unknown, levels)
    for kind, some in told.items():
        if some.any():
            changes.add(kind, places[some], times[some], *(column[some] for column in decided))

    clocks = (active_at, false_since, frozen_since, missing_since)
    for name, old, clock in zip(CLOCKS, before, clocks, strict=True):
        new = np.where(over, UNSET, clock)
        differs = new != old
        if differs.any():
            changed |= differs
            getattr(instances, name)[places] = new
    instances.clocked[places] = ~over & ((false_since != UNSET) | (frozen_since != UNSET) | (missing_since != UNSET))
    instances.status[places] = after
    instances.fired_at[places[firing]] = times[firing]
    instances.fired_at[places[over]] = UNSET
    instances.silent[places[over]] = False
    instances.changed_at[places[changed]] = np.maximum(instances.changed_at[places[changed]], times[changed])


def schedule(plan: Plan, window: Window, state: State, places: Places, times: Int64s) -> None:
    """Sets when each place's next deadline is reached, as its state is after an evaluation at `times`."""
    instances, profiles, numbers = state.instances, plan.profiles, plan.instances.profile[places]
    status = instances.status[places]
    active_at, false_since, frozen_since, missing_since = instances.clocks(places)
    running = frozen_since == UNSET
    due = np.full(len(places), NEVER, dtype=np.int64)
    pending = running & (status == Status.PENDING)
    due = np.where(pending, active_at + profiles.for_duration[numbers], due)
    keeping = running & (status == Status.FIRING) & (false_since != UNSET)
    due = np.where(keeping, false_since + profiles.keep_firing_for[numbers], due)
    missing = missing_since != UNSET
    due = np.where(missing, missing_since + MISSING_INTERVALS * profiles.interval[numbers], due)
    if profiles.waiting_count:
        absence = profiles.kind[numbers] == ConditionKind.ABSENCE
        waiting = np.flatnonzero((status == Status.INACTIVE) & absence)
        if len(waiting):
            due[waiting] = absence_due(plan, window, state, places[waiting], times[waiting])
        waiting = np.flatnonzero(profiles.waits[numbers] & ~absence)
        if len(waiting):
            silent = silence_due(plan, window, state, places[waiting], times[waiting])
            due[waiting] = np.minimum(due[waiting], silent)
    # A deadline that an evaluation has already seen isn't reached again.
    due = np.where(profiles.every_point[numbers], np.maximum(due, times + 1), NEVER)
    instances.due[places] = due
    if len(due):
        state.earliest = min(state.earliest, int(due.min()))
