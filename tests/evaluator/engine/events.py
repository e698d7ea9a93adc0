"""What may happen to an evaluator: the events of which the random lives in the tests are made."""

from dataclasses import dataclass

from monitors.evaluator.model.spec import RuleSpec

Rows = tuple[tuple[int, float, float], ...]
"""(series, seconds before the time of arrival, value); a negative age is a point of the future."""


@dataclass(frozen=True)
class Arrive:
    """Points come, so many seconds after what happened before. Those of series that aren't known yet are left out."""

    after: float
    rows: Rows = ()


@dataclass(frozen=True)
class Appear:
    """The next series becomes known."""


@dataclass(frozen=True)
class Put:
    """A rule is made, or the named fields of the one that is there are changed; no fields are all of them."""

    spec: RuleSpec
    changed: tuple[str, ...] = ()
    after: float = 0.0


@dataclass(frozen=True)
class Remove:
    """A rule is deleted or paused; if it became unusable, the evaluator itself closes what fires."""

    rule_id: str
    unusable: bool = False


@dataclass(frozen=True)
class Close:
    """A person closes what a rule has open."""

    rule_id: str


@dataclass(frozen=True)
class Save:
    """The state is saved: a crash goes back to here and replays what came since."""


@dataclass(frozen=True)
class Crash:
    """The process dies and comes back after so many seconds."""

    away: float


@dataclass(frozen=True)
class Restart:
    """The process saves, ends and comes back after so many seconds; meanwhile a rule may have been changed."""

    away: float
    put: Put | None = None


@dataclass(frozen=True)
class Stand:
    """The process stands still for so many seconds."""

    away: float


@dataclass(frozen=True)
class SetBack:
    """The clock is set back by so many seconds."""

    by: float


@dataclass(frozen=True)
class Move:
    """Another evaluator takes a monitor over."""

    monitor: str


Event = Arrive | Appear | Put | Remove | Close | Save | Crash | Restart | Stand | SetBack | Move
