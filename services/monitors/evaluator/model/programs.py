"""Formulas of many instances, evaluated as arrays: each node of a formula has a row for each of its keys.

A program holds the rows of all instances whose rules have one formula, of whatever rules and monitors. A row names what
it's made of: a series, or rows of the node's parts.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Places, distinct_pairs
from monitors.evaluator.model.bounds import Bounds, Operator
from monitors.evaluator.model.formula import (
    Arithmetic,
    ArithmeticOperator,
    Bounded,
    Condition,
    Constant,
    Expression,
    Formula,
    Group,
    Junction,
    JunctionOperator,
    Negation,
    Quiet,
    Versus,
    is_condition,
    parts_of,
)
from monitors.evaluator.model.groups import reduce_groups
from monitors.evaluator.model.joins import NOTHING, Binding, Rows, nodes_of
from monitors.evaluator.model.node_tables import NodeTable
from monitors.evaluator.model.reading import Reading
from monitors.evaluator.model.series import Floats, Int64s
from monitors.evaluator.model.terms import occurs, value_of, within
from monitors.evaluator.model.window import Window
from monitors.mesh.times import SECOND

OutageSince = Callable[[Int64s, Places], Int64s]
"""How much of the time after each of some times the shard of its series wasn't evaluated."""


class Found(NamedTuple):
    """Of each row: whether a condition holds, whether that is unknown, and the value that decided, NaN if there's none.

    What is unknown doesn't hold.
    """

    holds: Booleans
    unknown: Booleans
    values: Floats


class Scenery(NamedTuple):
    """What a program looks at."""

    window: Window
    outage_since: OutageSince


Taken = list[tuple[Int64s, Int64s]]
"""The numbers of rows and lists that one binding has, by node."""


class Program:
    """One formula, and the rows of its nodes. `bind` makes rows, `truths` and `values` evaluate those of the whole."""

    def __init__(self, formula: Formula) -> None:
        self.nodes = nodes_of(formula)
        self.is_condition = is_condition(formula)
        self._number = {node: number for number, node in enumerate(self.nodes)}
        self._tables = [NodeTable() for _ in self.nodes]
        self._whole = self.nodes[-1]

    # --- rows ---

    def bind(self, binding: Binding, numbers: Sequence[float]) -> tuple[Taken, Int64s]:
        """Takes rows for what a formula was bound to, with the numbers of a rule in its slots.

        Gives what is to be given back by `release`, and the rows of the whole by their numbers in the binding.
        """
        taken: Taken = []
        for node, table, rows in zip(self.nodes, self._tables, binding.rows, strict=True):
            own = table.row_numbers.take(len(rows.first)), table.list_numbers.take(len(rows.members))
            taken.append(own)
            self._write(node, table, rows, taken, numbers)
        return taken, taken[-1][0]

    def _write(self, node: Formula, table: NodeTable, rows: Rows, taken: Taken, numbers: Sequence[float]) -> None:
        own, lists = taken[-1]
        parts = [taken[self._number[part]][0] for part in parts_of(node)]
        first, second = np.array(rows.first, dtype=np.int64), np.array(rows.second, dtype=np.int64)
        if rows.members:
            of_rows = parts[-1] if parts else None
            members = [np.array(one, dtype=np.int64) for one in rows.members]
            table.add_lists(lists, [(one if of_rows is None else of_rows[one]).astype(np.int32) for one in members])
        match node:
            case Group():
                first = lists[first]
            case Quiet(slot=slot):
                first = lists[first]
                since = numbers[slot] if node.expected else np.nan
                table.rows.low[own] = [since if key in node.expected else np.nan for key in rows.keys]
            case Junction():
                first, second = _translated(parts[0], first), _translated(lists, second)
            case Arithmetic() | Versus():
                first, second = parts[0][first], parts[1][second]
            case Bounded(slot=slot):
                first = parts[0][first]
                table.rows.low[own], table.rows.high[own] = numbers[slot], numbers[slot + 1]
            case Negation():
                first = parts[0][first]
            case Constant(slot=slot):
                table.rows.low[own] = numbers[slot]
        table.rows.first[own], table.rows.second[own] = first, second

    def release(self, taken: Taken) -> None:
        """Gives the rows of a binding back."""
        for table, (rows, lists) in zip(self._tables, taken, strict=True):
            table.row_numbers.give_back(rows)
            table.remove_lists(lists)

    # --- evaluation ---

    def truths(self, scenery: Scenery, rows: Places, times: Int64s) -> Found:
        """What the condition says at rows, each at its own time."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            return self._truths(self._whole, scenery, rows, times)

    def values(self, scenery: Scenery, rows: Places, times: Int64s) -> Floats:
        """What the expression comes to at rows, each at its own time; NaN where that is unknown."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            return self._values(self._whole, scenery, rows, times)

    def value_at(self, node: Expression, scenery: Scenery, row: int, time: int) -> float:
        """What one node comes to at one of its rows; NaN where that is unknown."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            return float(self._values(node, scenery, np.array([row]), np.array([time]))[0])

    def truth_at(self, node: Condition, scenery: Scenery, row: int, time: int) -> bool | None:
        """Whether one node holds at one of its rows; None if that is unknown."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found = self._truths(node, scenery, np.array([row]), np.array([time]))
        return None if found.unknown[0] else bool(found.holds[0])

    def rows_of(self, node: Formula, row: int) -> list[list[int]]:
        """The rows of each of a node's parts that one of its rows is made of; of Quiet its series."""
        table = self._table(node)
        first, second = int(table.rows.first[row]), int(table.rows.second[row])
        match node:
            case Reading() | Constant():
                return []
            case Group() | Quiet():
                return [table.members_of(np.array([first]))[1].tolist()]
            case Junction():
                rights = [] if second == NOTHING else table.members_of(np.array([second]))[1].tolist()
                return [[] if first == NOTHING else [first], rights]
            case Bounded() | Negation():
                return [[first]]
            case _:
                return [[first], [second]]

    def bounds_at(self, node: Bounded, row: int) -> Bounds:
        """What one of a node's rows is compared with."""
        table = self._table(node)
        return Bounds(float(table.rows.low[row]), float(table.rows.high[row]), node.outside)

    def _table(self, node: Formula) -> NodeTable:
        return self._tables[self._number[node]]

    def _values(self, node: Formula, scenery: Scenery, rows: Places, times: Int64s) -> Floats:
        table = self._table(node)
        match node:
            case Constant():
                return table.rows.low[rows]
            case Reading():
                return value_of(scenery.window, node.term, table.rows.first[rows], times)
            case Arithmetic(operator=operator, left=left, right=right):
                lefts = self._values(left, scenery, table.rows.first[rows], times)
                rights = self._values(right, scenery, table.rows.second[rows], times)
                return _computed(operator, lefts, rights)
            case Group(expression=expression):

                def of_lists(lists: Places, at: Int64s) -> Floats:
                    counts, members = table.members_of(lists)
                    values = self._values(expression, scenery, members, np.repeat(at, counts))
                    return reduce_groups(node.aggregation, node.quantile, values, counts)

                return _once(of_lists, table.rows.first[rows], times)
        raise TypeError(f"{type(node).__name__} has no value of its own")

    def _truths(self, node: Formula, scenery: Scenery, rows: Places, times: Int64s) -> Found:
        table = self._table(node)
        first = table.rows.first[rows]
        match node:
            case Bounded(expression=expression, outside=outside):
                low, high = table.rows.low[rows], table.rows.high[rows]
                if isinstance(expression, Reading) and expression.occurrence is not None:
                    series = self._table(expression).rows.first[first]
                    holds, values = occurs(scenery.window, expression.term, series, times, low, high, outside)
                else:
                    values = self._values(expression, scenery, first, times)
                    holds = within(values, low, high, outside)
                # A text's code says nothing to anybody.
                of_text = isinstance(expression, Reading) and expression.of_text
                return Found(holds, np.isnan(values), np.full(len(rows), np.nan) if of_text else values)
            case Versus(left=left, right=right):
                lefts = self._values(left, scenery, first, times)
                rights = self._values(right, scenery, table.rows.second[rows], times)
                unknown = np.isnan(lefts) | np.isnan(rights)
                return Found(_compared(node, lefts, rights) & ~unknown, unknown, lefts)
            case Quiet():
                return self._quiet(node, scenery, rows, times)
            case Negation(condition=condition):
                found = self._truths(condition, scenery, first, times)
                return found._replace(holds=~found.holds & ~found.unknown)
            case Junction():
                return self._joined(node, scenery, rows, times)
        raise TypeError(f"{type(node).__name__} has no truth")

    def _joined(self, node: Junction, scenery: Scenery, rows: Places, times: Int64s) -> Found:
        table = self._table(node)
        left = self._truths_or_nothing(node.left, scenery, table.rows.first[rows], times)
        right = self._any(node, scenery, table.rows.second[rows], times)
        if node.operator is JunctionOperator.UNLESS:
            right = right._replace(holds=~right.holds & ~right.unknown)
        if node.operator is JunctionOperator.OR:
            holds = left.holds | right.holds
            unknown = ~holds & (left.unknown | right.unknown)
            takes_right = ~left.holds & right.holds | (table.rows.first[rows] == NOTHING)
            return Found(holds, unknown, np.where(takes_right, right.values, left.values))
        denied = ~left.holds & ~left.unknown | ~right.holds & ~right.unknown
        holds = left.holds & right.holds
        return Found(holds, ~holds & ~denied, left.values)

    def _truths_or_nothing(self, node: Formula, scenery: Scenery, rows: Places, times: Int64s) -> Found:
        """Truths; where there is no row, false."""
        there = rows != NOTHING
        if there.all():
            return self._truths(node, scenery, rows, times)
        found = _nothing(len(rows))
        for column, known in zip(found, self._truths(node, scenery, rows[there], times[there]), strict=True):
            column[there] = known
        return found

    def _any(self, node: Junction, scenery: Scenery, lists: Places, times: Int64s) -> Found:
        """Of each list of the right side's rows: whether one is true; unknown if none is but one might be."""
        table, there = self._table(node), np.flatnonzero(lists != NOTHING)
        found = _nothing(len(lists))
        if not len(there):
            return found
        distinct, at, which = distinct_pairs(lists[there], times[there])
        counts, members = table.members_of(distinct)
        known = self._truths(node.right, scenery, members, np.repeat(at, counts))
        whose, starts = np.repeat(np.arange(len(counts)), counts), np.cumsum(counts) - counts
        holds = np.bincount(whose, weights=known.holds, minlength=len(counts)) > 0
        unknown = np.bincount(whose, weights=known.unknown, minlength=len(counts)) > 0
        # The value is that of the first that is true, else of the first.
        order = np.where(known.holds, np.arange(len(members)), len(members))
        chosen = np.minimum.reduceat(order, starts)
        values = known.values[np.where(chosen < len(members), chosen, starts)]
        for column, one in zip(found, (holds, unknown & ~holds, values), strict=True):
            column[there] = one[which]
        return found

    def _quiet(self, node: Quiet, scenery: Scenery, rows: Places, times: Int64s) -> Found:
        newest, away = self._newest(node, scenery, rows, times)
        holds = (newest != UNSET) & (times - np.where(newest == UNSET, times, newest) - away > node.absent_for)
        return Found(np.asarray(holds), np.zeros(len(rows), dtype=np.bool_), np.full(len(rows), np.nan))

    def _newest(self, node: Quiet, scenery: Scenery, rows: Places, times: Int64s) -> tuple[Int64s, Int64s]:
        """The newest point of each row's series at its time, and how long nobody evaluated since then.

        Of what is expected and was never heard of, it's since when it is.
        """
        table = self._table(node)
        counts, members = table.members_of(table.rows.first[rows])
        newest = np.full(len(rows), UNSET, dtype=np.int64)
        each = scenery.window.newest_until(members, np.repeat(times, counts))
        np.maximum.at(newest, np.repeat(np.arange(len(rows)), counts), each)
        if node.expected:
            since = table.rows.low[rows]
            waiting = np.flatnonzero((newest == UNSET) & ~np.isnan(since))
            newest[waiting] = (since[waiting] * SECOND).astype(np.int64)
        return newest, scenery.outage_since(newest, table.rows.second[rows])

    # --- absence ---

    def due(self, scenery: Scenery, rows: Places, times: Int64s) -> Int64s:
        """When something falls silent next, after each row's time, unless a point comes; NEVER if nothing will."""
        return self._due(self._whole, scenery, rows, times)

    def _due(self, node: Formula, scenery: Scenery, rows: Places, times: Int64s) -> Int64s:
        due, table = np.full(len(rows), NEVER, dtype=np.int64), self._table(node)
        first, second = table.rows.first[rows], table.rows.second[rows]
        match node:
            case Quiet():
                newest, away = self._newest(node, scenery, rows, times)
                silent_at = newest + node.absent_for + away + 1
                return np.where((newest == UNSET) | (silent_at <= times), NEVER, silent_at)
            case Negation(condition=condition):
                return self._due(condition, scenery, first, times)
            case Junction(left=left, right=right):
                there = np.flatnonzero(first != NOTHING)
                due[there] = self._due(left, scenery, first[there], times[there])
                there = np.flatnonzero(second != NOTHING)
                counts, members = table.members_of(second[there])
                others = self._due(right, scenery, members, np.repeat(times[there], counts))
                np.minimum.at(due, np.repeat(there, counts), others)
        return due


def _translated(numbers: Int64s, local: Int64s) -> Int64s:
    """Numbers of a binding's rows or lists; NOTHING stays."""
    there = local != NOTHING
    found = local.copy()
    found[there] = numbers[local[there]]
    return found


def _nothing(count: int) -> Found:
    return Found(np.zeros(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_), np.full(count, np.nan))


def _once(evaluate: Callable[[Places, Int64s], Floats], numbers: Places, times: Int64s) -> Floats:
    """Evaluates each distinct pair once: one total may go with thousands of instances."""
    distinct, at, which = distinct_pairs(numbers, times)
    return evaluate(distinct, at)[which]


def _computed(operator: ArithmeticOperator, left: Floats, right: Floats) -> Floats:
    match operator:
        case ArithmeticOperator.ADD:
            return left + right
        case ArithmeticOperator.SUBTRACT:
            return left - right
        case ArithmeticOperator.MULTIPLY:
            return left * right
        case ArithmeticOperator.DIVIDE:
            return np.where(right == 0, np.nan, left / right)


def _compared(node: Versus, left: Floats, right: Floats) -> Booleans:
    match node.operator:
        case Operator.GREATER:
            return left > right
        case Operator.GREATER_OR_EQUAL:
            return left >= right
        case Operator.LESS:
            return left < right
        case Operator.LESS_OR_EQUAL:
            return left <= right
    # Two equal infinities differ by nothing.
    equal: Booleans = (left == right) | (np.abs(left - right) <= node.tolerance)
    return equal if node.operator is Operator.EQUAL else ~equal
