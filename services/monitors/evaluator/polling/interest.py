"""What the rules ask of a source: which monitors and fields, and how far back."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.formula import expects
from monitors.evaluator.model.reading import LOOK_BACK
from monitors.evaluator.model.shards import SHARD_COUNT, shard_of
from monitors.evaluator.model.spec import RuleKey, RuleSpec
from monitors.evaluator.sources.port import Selection
from monitors.evaluator.watch import RuleChanges

MOST_NAMED = 500
"""More monitors than these aren't named, if they are half of all: to ask for everything is less work then."""
NOBODY = Selection(monitors=())


class _Wish(NamedTuple):
    """What one rule asks for. `fields` is None for any."""

    tenant: str
    monitor: str
    fields: tuple[str, ...] | None
    span: int


class Interest:
    """What all rules ask for together."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._wishes: dict[RuleKey, _Wish] = {}
        self._monitors: Counter[tuple[str, str]] = Counter()
        self._patterns: dict[tuple[str, str], RuleSpec] = {}
        self._fields: Counter[str | None] = Counter()
        self._spans: Counter[int] = Counter()
        self._version = 0
        self._made: tuple[object, Selection] = (None, NOBODY)

    def follow(self, change: RuleChanges) -> None:
        """Takes a change of the rules."""
        gone = [*change.removed, *change.unusable]
        if change.is_snapshot:
            gone += self._wishes.keys() - {spec.key for spec in change.put}
        for key in gone:
            self._forget(key)
        for spec in change.put:
            self._forget(spec.key)
            self._remember(spec)
        self._version += 1

    def _remember(self, spec: RuleSpec) -> None:
        wish = _Wish(spec.tenant, spec.monitor, _fields_of(spec), max(spec.span, LOOK_BACK))
        self._wishes[spec.key] = wish
        self._monitors[wish.tenant, wish.monitor] += 1
        if spec.is_pattern:
            self._patterns[wish.tenant, wish.monitor] = spec
        self._fields.update((None,) if wish.fields is None else wish.fields)
        self._spans[wish.span] += 1

    def _forget(self, key: RuleKey) -> None:
        wish = self._wishes.pop(key, None)
        if wish is None:
            return
        self._monitors[wish.tenant, wish.monitor] -= 1
        if not self._monitors[wish.tenant, wish.monitor]:
            del self._monitors[wish.tenant, wish.monitor]
            self._patterns.pop((wish.tenant, wish.monitor), None)
        for field in (None,) if wish.fields is None else wish.fields:
            self._fields[field] -= 1
        self._spans[wish.span] -= 1

    @property
    def reach(self) -> int:
        """How many nanoseconds the rules look back at most."""
        return max((span for span, count in self._spans.items() if count), default=LOOK_BACK)

    def selection(self, shards: Collection[int]) -> Selection:
        """What the rules ask of the monitors of some shards."""
        made_of = self._version, len(self._catalogue), frozenset(shards)
        if self._made[0] != made_of:
            self._made = made_of, self._select(made_of[2])
        return self._made[1]

    def _select(self, shards: frozenset[int]) -> Selection:
        wanted = {
            monitor
            for tenant, monitor in self._wanted()
            if len(shards) == SHARD_COUNT or shard_of(tenant, monitor) in shards
        }
        if not wanted:
            return NOBODY
        known = sum(len(self._catalogue.monitors(tenant)) for tenant in self._catalogue.tenants())
        named = None if len(wanted) > MOST_NAMED and 2 * len(wanted) > known else tuple(sorted(wanted))
        fields = {field for field, count in self._fields.items() if count}
        return Selection(named, fields=None if None in fields else tuple(sorted(filter(None, fields))))

    def _wanted(self) -> Iterator[tuple[str, str]]:
        for tenant, monitor in self._monitors:
            pattern = self._patterns.get((tenant, monitor))
            if pattern is None:
                yield tenant, monitor
                continue
            for known in self._catalogue.monitors(tenant):
                if pattern.matches_monitor(known):
                    yield tenant, known


def _fields_of(spec: RuleSpec) -> tuple[str, ...] | None:
    """The fields that a rule reads, None for any. One that's qualified by its measurement may be either's name."""
    names: set[str] = set()
    for reading in spec.readings:
        if not reading.field:
            return None
        parts = reading.field.split(".")
        names.update(".".join(parts[start:]) for start in range(len(parts)))
    return None if spec.formula is not None and expects(spec.formula) else tuple(sorted(names))
