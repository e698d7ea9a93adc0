"""What EvaluatorService answers from."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Protocol

from monitors.evaluator.backtests import Backtests
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.engine import EngineStatus
from monitors.evaluator.intake import Sink
from monitors.evaluator.model.explanation import Explanation
from monitors.evaluator.model.spec import RuleKey
from monitors.evaluator.newest import Newest
from monitors.evaluator.readable import Readable
from monitors.mesh.shared import Shared


class Evaluating(Protocol):
    """Whatever evaluates, and can tell how it fares."""

    def status(self) -> EngineStatus:
        """How it fares."""

    async def explain(self, key: RuleKey, monitors: Collection[str]) -> list[Explanation]:
        """Why a rule's instances, or those of some monitors, are as they are; firing ones first."""


class Keeping(Protocol):
    """Whoever sees to it that points are there: keeps them, or reads them from where they are kept."""

    @property
    def source(self) -> str:
        """What points are read from; empty if they are kept here."""

    @property
    def unowned_count(self) -> int:
        """How many series there belong to no tenant."""

    @property
    def problems(self) -> list[str]:
        """What is wrong, whosever points they are."""

    @property
    def series_problems(self) -> list[str]:
        """Why series aren't taken, in words that may name what is a tenant's."""


@dataclass(frozen=True)
class Parts:
    """What the service answers from. `start_time` is when the evaluator began, in nanoseconds."""

    points: Readable
    catalogue: Catalogue
    newest: Newest
    intake: Sink
    engine: Evaluating
    keeping: Keeping
    backtests: Backtests
    start_time: int
    shared: Shared = field(default_factory=Shared)
