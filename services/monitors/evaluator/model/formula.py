"""What rules compute and ask of several inputs: expressions and conditions as trees.

Every node is a frame: values or truths by key, where a key is a set of tags. The numbers that are written in a rule are
no part of its formula but are named by their slots, so that rules that differ in them only share one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.reading import LATENESS, Aggregation, Reading, Tags


class ArithmeticOperator(IntEnum):
    """What is computed of two numbers; the numbers are those of monitors.v1.ArithmeticOperator."""

    ADD = 1
    SUBTRACT = 2
    MULTIPLY = 3
    DIVIDE = 4
    """By 0 it is unknown."""


class JunctionOperator(IntEnum):
    """How conditions are joined; the numbers are those of monitors.v1.JunctionOperator."""

    AND = 1
    OR = 2
    UNLESS = 3


@dataclass(frozen=True, slots=True)
class Constant:
    """The number in a slot. It has no tags, and goes with every key."""

    slot: int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Two expressions, joined on the tags `on`, or if there are none on those that both sides have.

    At most one of the sides has several keys for one that both have: the result's keys are that side's, else the
    left one's.
    """

    operator: ArithmeticOperator
    left: "Expression"
    right: "Expression"
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Group:
    """One number of those with equal tags `by`, or with equal tags apart from `without`; of all if there are neither.

    What is unknown takes no part. The aggregations are AVERAGE to STANDARD_DEVIATION.
    """

    aggregation: Aggregation
    expression: "Expression"
    by: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    quantile: float = 0.0

    def key(self, tags: Tags) -> Tags:
        """The group that a key belongs to."""
        if self.without:
            return tuple(pair for pair in tags if pair[0] not in self.without)
        return tuple(pair for pair in tags if pair[0] in self.by)


@dataclass(frozen=True, slots=True)
class Bounded:
    """Whether an expression lies from the number in a slot to that in the next one, both included, or with `outside`
    anywhere else."""

    expression: "Expression"
    slot: int
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Versus:
    """Two expressions compared with one another, joined as in Arithmetic. The value is the left one's."""

    operator: Operator
    left: "Expression"
    right: "Expression"
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Quiet:
    """Whether no point has come for longer than `absent_for` nanoseconds. It has no value, and is always known.

    Without a field it is about all series of the monitor together, which have the key without tags. The reading counts
    points, whatever they hold.
    """

    reading: Reading
    absent_for: int
    expected: tuple[Tags, ...] = ()
    """Keys that must report even if nothing was ever heard of them: all series with these tags, and maybe others."""
    slot: int = -1
    """With `expected`: since when they must, in seconds since 1970."""

    def keys(self, tags: Tags) -> list[Tags]:
        """The keys that a series belongs to."""
        expected = [key for key in self.expected if set(key) <= set(tags)]
        return expected or [tags if self.reading.field else ()]


@dataclass(frozen=True, slots=True)
class Junction:
    """Two conditions, joined on the tags `on`, or if there are none on those that both sides have.

    The keys are the left side's. Several keys of the right side that go with one are taken for true if one of them is.
    AND has no key without a right side. OR has the keys of the right side, too, that go with none of the left one.
    """

    operator: JunctionOperator
    left: "Condition"
    right: "Condition"
    on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Negation:
    """The opposite of a condition; what is unknown stays so."""

    condition: "Condition"


Expression = Reading | Constant | Arithmetic | Group
Condition = Bounded | Versus | Quiet | Junction | Negation
Formula = Expression | Condition


def parts_of(formula: Formula) -> tuple[Formula, ...]:
    """What a formula is made of directly, in order."""
    match formula:
        case Arithmetic(left=left, right=right) | Versus(left=left, right=right) | Junction(left=left, right=right):
            return (left, right)
        case Group(expression=expression) | Bounded(expression=expression):
            return (expression,)
        case Negation(condition=condition):
            return (condition,)
        case Reading() | Constant() | Quiet():
            return ()


def readings_of(formula: Formula) -> Iterator[Reading]:
    """All that a formula reads, also for absence."""
    match formula:
        case Reading():
            yield formula
        case Quiet(reading=reading):
            yield reading
        case _:
            for part in parts_of(formula):
                yield from readings_of(part)


def is_condition(formula: Formula) -> bool:
    """Whether it has a truth, and not just a value."""
    return isinstance(formula, Bounded | Versus | Quiet | Junction | Negation)


def waits(formula: Formula) -> bool:
    """Whether its truth may change with the passing of time alone."""
    return isinstance(formula, Quiet) or any(map(waits, parts_of(formula)))


def groups(formula: Formula) -> bool:
    """Whether it makes one number of several series."""
    return isinstance(formula, Group) or any(map(groups, parts_of(formula)))


def expects(formula: Formula) -> bool:
    """Whether it has keys without any series."""
    return (isinstance(formula, Quiet) and bool(formula.expected)) or any(map(expects, parts_of(formula)))


def span_of(formula: Formula) -> int:
    """How far before now points matter, in nanoseconds."""
    match formula:
        case Reading():
            return formula.span
        case Quiet(absent_for=absent_for):
            return absent_for
        case _:
            return max(map(span_of, parts_of(formula)), default=0)


def retention_of(formula: Formula) -> int:
    """How far behind a series' newest point its window must reach."""
    match formula:
        case Reading():
            return formula.retention
        case _:
            return max(map(retention_of, parts_of(formula)), default=LATENESS)
