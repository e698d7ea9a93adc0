"""Which keys the nodes of a formula have on a monitor's series, and what each key's row is made of.

That depends on the series alone, not on their points: it's done when series become known or rules change.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from monitors.evaluator.model.formula import (
    Arithmetic,
    Bounded,
    Constant,
    Formula,
    Group,
    Junction,
    JunctionOperator,
    Negation,
    Quiet,
    Versus,
    parts_of,
)
from monitors.evaluator.model.reading import Reading, Tags
from monitors.evaluator.model.series import Series, SeriesKey

NOTHING = -1
"""The row of a side that a key hasn't got."""
_SHOWN = 3

Known = Sequence[Series]
"""Series, ascending by index."""


def nodes_of(formula: Formula) -> list[Formula]:
    """The nodes of a formula, each once, parts before what they are parts of: the last one is the whole."""
    found: dict[Formula, None] = {}

    def visit(node: Formula) -> None:
        if node not in found:
            for part in parts_of(node):
                visit(part)
            found[node] = None

    visit(formula)
    return list(found)


@dataclass
class Rows:
    """The rows of one node on one monitor, by key.

    `first` and `second` name what each is made of: of a Reading the series; of Group and Quiet the list of members, of
    Quiet then any series of the monitor; of Junction the left row and the list of right ones; else the parts' rows.
    """

    keys: dict[Tags, int] = field(default_factory=dict)
    first: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    members: list[list[int]] = field(default_factory=list)
    has_tags: bool = True
    """False for what is made of constants alone, which goes with every key."""

    def add(self, key: Tags, first: int, second: int = NOTHING) -> None:
        """Adds a row, unless the key has one."""
        if key not in self.keys:
            self.keys[key] = len(self.first)
            self.first.append(first)
            self.second.append(second)

    def add_members(self, members: list[int]) -> int:
        """Adds a list of members and returns its number."""
        self.members.append(members)
        return len(self.members) - 1


class Binding:
    """The rows of all nodes of a formula on the series of one monitor. `problems` says what couldn't be joined."""

    def __init__(self, nodes: Sequence[Formula], known: Known) -> None:
        self.problems: list[str] = []
        self.rows: list[Rows] = []
        self._known = known
        self._number = {node: number for number, node in enumerate(nodes)}
        self._nodes = nodes
        self._inputs: dict[tuple[int, int], frozenset[int]] = {}
        for node in nodes:
            self.rows.append(self._bind(node))

    @property
    def keys(self) -> list[tuple[Tags, int]]:
        """The keys of the whole formula with their rows, in order; none if it's made of constants alone."""
        last = self.rows[-1]
        return sorted(last.keys.items()) if last.has_tags else []

    def inputs(self, row: int) -> list[int]:
        """The series that a row of the whole is made of."""
        return sorted(self._inputs_of(len(self._nodes) - 1, row))

    def _inputs_of(self, number: int, row: int) -> frozenset[int]:
        if (number, row) not in self._inputs:
            self._inputs[number, row] = self._find_inputs(number, row)
        return self._inputs[number, row]

    def _find_inputs(self, number: int, row: int) -> frozenset[int]:
        node, rows = self._nodes[number], self.rows[number]
        first, second = rows.first[row], rows.second[row]
        parts = [self._number[part] for part in parts_of(node)]
        match node:
            case Reading():
                return frozenset((first,))
            case Constant():
                return frozenset()
            case Quiet():
                return frozenset(rows.members[first])
            case Group():
                return self._union((parts[0], member) for member in rows.members[first])
            case Junction():
                own = [(parts[0], first)] if first != NOTHING else []
                others = rows.members[second] if second != NOTHING else []
                return self._union([*own, *((parts[1], member) for member in others)])
            case _:
                return self._union(zip(parts, (first, second), strict=False))

    def _union(self, rows: Iterable[tuple[int, int]]) -> frozenset[int]:
        return frozenset().union(*(self._inputs_of(number, row) for number, row in rows))

    # --- nodes ---

    def _bind(self, node: Formula) -> Rows:
        parts = [self.rows[self._number[part]] for part in parts_of(node)]
        match node:
            case Reading():
                return self._read(node)
            case Constant():
                rows = Rows(has_tags=False)
                rows.add((), node.slot)
                return rows
            case Quiet():
                return self._wait(node)
            case Group():
                return _grouped([(node.key(key), row) for key, row in sorted(parts[0].keys.items())])
            case Bounded() | Negation():
                return self._alike(parts[0])
            case Arithmetic(on=on):
                return self._join(parts[0], parts[1], on)
            case Versus():
                return self._join(parts[0], parts[1], ())
            case Junction():
                return _joined_conditions(node, parts[0], parts[1])

    def _read(self, reading: Reading) -> Rows:
        rows, seen = Rows(), dict[Tags, SeriesKey]()
        for one in self._known:
            if not reading.matches(one):
                continue
            key = one.key
            other = seen.setdefault(key.tags, key)
            if other is not key:
                self.problems.append(
                    f"several series of {key.monitor!r} have the same tags, such as {other.measurement}.{other.field} "
                    f"and {key.measurement}.{key.field}; only the first is evaluated. Name the measurement"
                )
            rows.add(key.tags, one.index)
        return rows

    def _wait(self, node: Quiet) -> Rows:
        if not self._known:
            return Rows()
        groups: dict[Tags, list[int]] = {key: [] for key in node.expected}
        for one in self._known:
            if node.reading.matches(one):
                for key in node.keys(one.key.tags):
                    groups.setdefault(key, []).append(one.index)
        rows = Rows()
        for key, members in sorted(groups.items()):
            rows.add(key, rows.add_members(members), self._known[0].index)
        return rows

    @staticmethod
    def _alike(part: Rows) -> Rows:
        rows = Rows(has_tags=part.has_tags)
        for key, row in part.keys.items():
            rows.add(key, row)
        return rows

    def _join(self, left: Rows, right: Rows, on: tuple[str, ...]) -> Rows:
        """One row for each pair that goes together; the keys are those of the side that has several for one pair."""
        rows = Rows(has_tags=left.has_tags or right.has_tags)
        project = _projection(left, right, on)
        lefts, rights = _by_projection(left, project), _by_projection(right, project)
        many_left = any(len(found) > 1 for found in lefts.values())
        many_right = any(len(found) > 1 for found in rights.values())
        if many_left and many_right:
            self._report_many(lefts, rights)
        swapped = many_right and not many_left
        # A constant's only key says nothing about the other side's.
        swapped |= not left.has_tags
        keys, others = (right.keys, lefts) if swapped else (left.keys, rights)
        for key, row in sorted(keys.items()):
            found = others.get(project(key), [])
            if len(found) == 1:
                rows.add(key, *((found[0], row) if swapped else (row, found[0])))
        return rows

    def _report_many(self, lefts: dict[Tags, list[int]], rights: dict[Tags, list[int]]) -> None:
        both = sorted(key for key in lefts if len(lefts[key]) > 1 and len(rights.get(key, ())) > 1)
        if both:
            which = ", ".join(f"{name}={value!r}" for name, value in both[0][:_SHOWN]) or "no tag in common"
            self.problems.append(
                f"several series of each side go together ({which}), so that it isn't said which with which; name the "
                "tags to join `on`, or make one number of one side, as `sum by (host) (…)`"
            )


def _grouped(keyed: Iterable[tuple[Tags, int]]) -> Rows:
    groups: dict[Tags, list[int]] = {}
    for key, row in keyed:
        groups.setdefault(key, []).append(row)
    rows = Rows()
    for key, members in sorted(groups.items()):
        rows.add(key, rows.add_members(members))
    return rows


def _projection(left: Rows, right: Rows, on: tuple[str, ...]) -> Callable[[Tags], Tags]:
    """What of a key must be equal on both sides."""
    if not (left.has_tags and right.has_tags):
        return lambda key: ()
    names = set(on) or {name for key in left.keys for name, _ in key} & {name for key in right.keys for name, _ in key}
    return lambda key: tuple(pair for pair in key if pair[0] in names)


def _by_projection(rows: Rows, project: Callable[[Tags], Tags]) -> dict[Tags, list[int]]:
    found: dict[Tags, list[int]] = {}
    for key, row in sorted(rows.keys.items()):
        found.setdefault(project(key), []).append(row)
    return found


def _joined_conditions(node: Junction, left: Rows, right: Rows) -> Rows:
    rows, project = Rows(), _projection(left, right, node.on)
    rights = _by_projection(right, project)
    lists = {key: rows.add_members(found) for key, found in rights.items()}
    together = set[Tags]()
    for key, row in sorted(left.keys.items()):
        which = lists.get(project(key), NOTHING)
        if which != NOTHING or node.operator is not JunctionOperator.AND:
            rows.add(key, row, which)
            together.add(project(key))
    if node.operator is JunctionOperator.OR:
        for key, row in sorted(right.keys.items()):
            if project(key) not in together:
                rows.add(key, NOTHING, rows.add_members([row]))
    return rows
