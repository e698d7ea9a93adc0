"""Formulas in plain loops: all keys of a formula on a monitor with what each comes to, from the raw points.

It says the same as the engine's programs in as different a way as possible: nothing is bound beforehand, and pairs are
found by trying all of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.formula import (
    Arithmetic,
    ArithmeticOperator,
    Bounded,
    Constant,
    Formula,
    Group,
    Junction,
    JunctionOperator,
    Negation,
    Quiet,
    Versus,
)
from monitors.evaluator.model.reading import Aggregation, Reading, Tags
from monitors.evaluator.model.series import Series
from tests.evaluator.engine.plainly import SECOND, number_or_none, quantile, statistic

EVERYTHING: Tags = (("", ""),)
"""The key of what is made of constants alone."""


@dataclass(frozen=True)
class Item:
    """What a key comes to: a value, and of a condition a truth; None is unknown."""

    value: float | None = None
    truth: bool | None = None
    series: frozenset[int] = frozenset()
    """What it's made of."""
    silent_at: tuple[int, ...] = ()
    """When what it asks about falls silent, unless a point comes."""


Frame = dict[Tags, Item]


@dataclass(frozen=True)
class View:
    """How one monitor's series are looked at."""

    series: Iterable[Series]
    numbers: tuple[float, ...]
    value: Callable[[Reading, int, int], float | None]
    """A reading of a series at a time."""
    points: Callable[[Reading, int, int], list[float]]
    """The numbers of its window."""
    newest: Callable[[Iterable[int], int], int | None]
    away_since: Callable[[int], int]

    def frame(self, node: Formula, now: int) -> Frame:
        """All keys of a node."""
        match node:
            case Constant(slot=slot):
                return {EVERYTHING: Item(self.numbers[slot])}
            case Reading():
                found: Frame = {}
                for one in self.series:
                    if node.matches(one) and one.key.tags not in found:
                        value = self.value(node, one.index, now)
                        found[one.key.tags] = Item(value, series=frozenset((one.index,)))
                return found
            case Arithmetic(operator=operator, left=left, right=right, on=on):
                return paired(self.frame(left, now), self.frame(right, now), on, lambda a, b: computed(operator, a, b))
            case Group():
                return grouped(node, self.frame(node.expression, now))
            case Bounded():
                return {key: self.bounded(node, item, now) for key, item in self.frame(node.expression, now).items()}
            case Versus(left=left, right=right):
                return paired(self.frame(left, now), self.frame(right, now), (), lambda a, b: compared(node, a, b))
            case Quiet():
                return self.quiet(node, now)
            case Negation(condition=condition):
                frame = self.frame(condition, now).items()
                return {k: replace(one, truth=None if one.truth is None else not one.truth) for k, one in frame}
            case Junction(left=left, right=right):
                return joined(node, self.frame(left, now), self.frame(right, now))

    def bounded(self, node: Bounded, item: Item, now: int) -> Item:
        low, high = self.numbers[node.slot : node.slot + 2]

        def passes(value: float) -> bool:
            return (low <= value <= high) is not node.outside

        if item.value is None:
            return item
        reading = node.expression
        if isinstance(reading, Reading) and reading.of_text:
            return replace(item, value=None, truth=passes(item.value))
        if isinstance(reading, Reading) and reading.occurrence is not None:
            (index,) = item.series
            numbers = self.points(reading, index, now)
            counted = numbers[-reading.occurrence.of_last :] if reading.occurrence.of_last else numbers
            needed = reading.occurrence.at_least or len(counted)
            return replace(item, truth=sum(map(passes, counted)) >= needed)
        return replace(item, truth=passes(item.value))

    def quiet(self, node: Quiet, now: int) -> Frame:
        members: dict[Tags, list[int]] = {key: [] for key in node.expected}
        for one in self.series:
            if node.reading.matches(one):
                own = one.key.tags if node.reading.field else ()
                wanted = [key for key in node.expected if all(dict(own).get(name) == value for name, value in key)]
                for key in wanted or [own]:
                    members.setdefault(key, []).append(one.index)
        found: Frame = {}
        for key, series in members.items():
            newest = self.newest(series, now)
            if newest is None and key in node.expected:
                newest = int(self.numbers[node.slot] * SECOND)
            silent = False if newest is None else now - newest - self.away_since(newest) > node.absent_for
            at = () if newest is None else (newest + node.absent_for + self.away_since(newest) + 1,)
            found[key] = Item(None, silent, frozenset(series), at)
        return found


def together(left: Frame, right: Frame, on: tuple[str, ...]) -> Callable[[Tags, Tags], bool]:
    """Whether two keys, of whichever sides, go together."""
    if EVERYTHING in left or EVERYTHING in right:
        return lambda one, other: True
    shared = {name for key in left for name, _ in key} & {name for key in right for name, _ in key}
    names = set(on) or shared
    return lambda one, other: all(dict(one).get(name) == dict(other).get(name) for name in names)


def paired(left: Frame, right: Frame, on: tuple[str, ...], make: Callable[[Item, Item], Item]) -> Frame:
    """One item for each pair that goes together, where it's said which with which."""
    fits = together(left, right, on)

    def has_several(side: Frame) -> bool:
        return any(fits(one, other) for one in side for other in side if one != other)

    of_right = EVERYTHING in left or (has_several(right) and not has_several(left))
    keys, others = (right, left) if of_right else (left, right)
    found: Frame = {}
    for key, item in keys.items():
        partners = [other for other in others if fits(key, other)]
        if len(partners) == 1:
            other = others[partners[0]]
            one = make(other, item) if of_right else make(item, other)
            found[key] = replace(one, series=item.series | other.series)
    return found


def computed(operator: ArithmeticOperator, left: Item, right: Item) -> Item:
    """Arithmetic of two values."""
    if left.value is None or right.value is None:
        return Item()
    a, b = left.value, right.value
    match operator:
        case ArithmeticOperator.ADD:
            return Item(number_or_none(a + b))
        case ArithmeticOperator.SUBTRACT:
            return Item(number_or_none(a - b))
        case ArithmeticOperator.MULTIPLY:
            return Item(number_or_none(a * b))
        case ArithmeticOperator.DIVIDE:
            return Item(number_or_none(a / b) if b else None)


def compared(node: Versus, left: Item, right: Item) -> Item:
    """Comparison of two values."""
    if left.value is None or right.value is None:
        return Item(left.value)
    a, b = left.value, right.value
    is_equal = a == b or abs(a - b) <= node.tolerance
    truth = {
        Operator.GREATER: a > b,
        Operator.GREATER_OR_EQUAL: a >= b,
        Operator.LESS: a < b,
        Operator.LESS_OR_EQUAL: a <= b,
        Operator.EQUAL: is_equal,
        Operator.NOT_EQUAL: not is_equal,
    }[node.operator]
    return Item(a, truth)


def grouped(node: Group, frame: Frame) -> Frame:
    """One item of those whose tags agree."""
    members: dict[Tags, list[Item]] = {}
    for key in sorted(frame):
        kept = tuple(
            pair for pair in key if (pair[0] not in node.without if node.without else pair[0] in node.by)
        )  # fmt: skip
        members.setdefault(kept, []).append(frame[key])
    found: Frame = {}
    for key, items in members.items():
        values = [item.value for item in items if item.value is not None]
        series = frozenset[int]().union(*(item.series for item in items))
        found[key] = Item(of_group(node, values) if values else None, series=series)
    return found


def of_group(node: Group, values: list[float]) -> float | None:
    """One number of several."""
    if node.aggregation is Aggregation.COUNT:
        return float(len(values))
    if node.aggregation in (Aggregation.MEDIAN, Aggregation.QUANTILE):
        share = node.quantile if node.aggregation is Aggregation.QUANTILE else 0.5
        return number_or_none(quantile(sorted(values), share))
    return number_or_none(statistic(node.aggregation, [(0, value) for value in values], 0, 0.0))


def joined(node: Junction, left: Frame, right: Frame) -> Frame:
    """Two conditions as one."""
    fits = together(left, right, node.on)
    found: Frame = {}
    for key, one in left.items():
        others = [right[other] for other in sorted(right) if fits(key, other)]
        if others or node.operator is not JunctionOperator.AND:
            found[key] = both(node.operator, one, any_of(others))
    if node.operator is JunctionOperator.OR:
        for key, other in right.items():
            if not any(fits(key, one) for one in left):
                found[key] = other
    return found


def any_of(items: list[Item]) -> Item:
    """Whether one of several holds, with its value."""
    truth: bool | None = None if any(item.truth is None for item in items) else False
    chosen = next((item for item in items if item.truth), None)
    if chosen is not None:
        truth = True
    value = (chosen or items[0]).value if items else None
    series = frozenset[int]().union(*(item.series for item in items))
    return Item(value, truth, series, tuple(at for item in items for at in item.silent_at))


def both(operator: JunctionOperator, one: Item, other: Item) -> Item:
    """The truth of two conditions joined, in Kleene's logic."""
    second = other.truth
    if operator is JunctionOperator.UNLESS:
        second = None if second is None else not second
    value, truths = one.value, (one.truth, second)
    truth: bool | None = None
    if operator is JunctionOperator.OR:
        if True in truths:
            truth = True
        elif truths == (False, False):
            truth = False
        if one.truth is not True and second is True:
            value = other.value
    elif False in truths:
        truth = False
    elif truths == (True, True):
        truth = True
    return Item(value, truth, one.series | other.series, one.silent_at + other.silent_at)
