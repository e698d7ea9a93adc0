"""What an evaluator is made of, wherever its points come from."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from monitors.evaluator.backing import Parts
from monitors.evaluator.engine import Engine
from monitors.evaluator.lines import Head
from monitors.evaluator.model.evaluation import Capacity
from monitors.evaluator.model.instances import Limits
from monitors.mesh.config import EvaluatorSettings

Work = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Assembly:
    """Parts that are wired up, and what is to be run beside one another."""

    parts: Parts
    engine: Engine
    helpers: Sequence[Work] = ()
    """Run until the end, and cancelled then."""
    taking: Work = nothing
    """Takes points; ends once `stop_taking` was called and everything that came is durable."""
    stop_taking: Callable[[], None] = lambda: None
    farewell: Work = nothing
    """Done when all others have ended."""
    why_not: Callable[[], str] = lambda: ""
    """Why no points are taken now; empty if they are."""
    on_head: Callable[[str, Head], None] = lambda _tenant, _head: None
    """Hears of the heads of the lines that come."""


def capacity_of(settings: EvaluatorSettings) -> Capacity:
    """How much the engine takes on."""
    return Capacity(Limits(settings.max_instances), settings.window_points, settings.retention)
