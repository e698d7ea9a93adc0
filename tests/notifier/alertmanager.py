"""What Alertmanager does, as data: when it tells a group again, and how its acceptance tests time messages.

From its `notify/notify_test.go` (the table of the stage that drops repeats) and `test/with_api_v2/acceptance`, with its
settings. Where we decide otherwise on purpose, `because` says why, and what we do stands in `ours`.
"""

from dataclasses import dataclass, field

FIRED_AND_RECOVERED = "an alert that was over before it was told is told once, as fired and recovered"
FOR_ITS_LOG_ALONE = "it counts as told there, so that its log is cleared; its receiver gets nothing either"
FIRST_AT_ONCE = "the first alert of an idle group doesn't wait"


@dataclass(frozen=True)
class Dedup:
    """A row of its table: what the last message said and when, how things stand, and whether there is another one."""

    firing: set[int]
    resolved: set[int] = field(default_factory=set)
    told_firing: set[int] | None = None
    """What the last message said fires; None if there was none."""
    told_resolved: set[int] = field(default_factory=set)
    minutes_ago: int = 0
    send_resolved: bool = False
    theirs: bool = True
    ours: bool | None = None
    because: str = ""

    @property
    def sends(self) -> bool:
        """Whether we send."""
        return self.theirs if self.ours is None else self.ours


REPEAT_MINUTES = 10
LONG_AGO = 10_000
DEDUP = (
    Dedup({2, 3, 4}),
    Dedup(set(), {2, 3, 4}, theirs=False, ours=True, because=FIRED_AND_RECOVERED, send_resolved=True),
    Dedup({2, 3, 4}, told_firing={1, 2, 3}),
    Dedup({1, 2, 3}, told_firing={1, 2, 3}, minutes_ago=LONG_AGO),
    Dedup({1, 2, 3}, told_firing={1, 2, 3}, minutes_ago=9, theirs=False),
    Dedup({1, 2, 3}, told_firing={1, 2, 3}, minutes_ago=11),
    Dedup(
        set(), {3, 4, 5}, told_firing=set(), told_resolved={1, 2, 3}, minutes_ago=11, send_resolved=True,
        theirs=False, ours=True, because=FIRED_AND_RECOVERED,
    ),
    Dedup({1}, {2, 3}, told_firing={1, 2}, told_resolved={3}, minutes_ago=9, theirs=False),
    Dedup({1}, {2, 3}, told_firing={1, 2}, told_resolved={3}, minutes_ago=9, send_resolved=True),
    Dedup(
        set(), {1, 2, 3}, told_firing={1, 2}, told_resolved={3}, minutes_ago=9, ours=False, because=FOR_ITS_LOG_ALONE
    ),
    Dedup(set(), {1, 2, 3}, told_firing={1, 2}, told_resolved={3}, minutes_ago=9, send_resolved=True),
)  # fmt: skip


@dataclass(frozen=True)
class Scenario:
    """What happens when, in seconds, and which messages a receiver gets, each as (second, what it says).

    `events` are (second, alert, `fires` or `ends`). Before `failing` the receiver `b` answers 503.
    """

    wait: int
    interval: int
    repeat: int
    events: tuple[tuple[float, str, str], ...]
    theirs: dict[str, tuple[tuple[float, str], ...]]
    ours: dict[str, tuple[tuple[float, str], ...]]
    because: str
    failing: float = 0
    until: float = 12
    send_resolved: dict[str, bool] = field(default_factory=dict)


ACCEPTANCE = {
    # One alert: told, and told again every repeat interval, which they round up to their group interval.
    "repeat": Scenario(
        1, 1, 3, ((1, "x", "fires"),),
        theirs={"a": ((2, "x fires"), (5, "x fires"), (8, "x fires"), (11, "x fires"))},
        ours={"a": ((1, "x fires"), (4, "x fires"), (7, "x fires"), (10, "x fires"))},
        because=FIRST_AT_ONCE,
    ),
    # One receiver fails for some seconds: the other is told as ever, and the one gets it by a retry, once.
    "retry": Scenario(
        1, 2, 60, ((1, "x", "fires"),), failing=4.5, until=20,
        theirs={"a": ((2, "x fires"),), "b": ((6, "x fires"),)},
        ours={"a": ((1, "x fires"),), "b": ((13, "x fires"),)},
        because=f"{FIRST_AT_ONCE}; our second retry comes ten seconds after the first, which came after two",
    ),
    # New members of a group go with its next flush; the unchanged group is silent until the repeat interval.
    "batching": Scenario(
        1, 1, 5, ((1.1, "x", "fires"), (1.7, "y", "fires"), (3.3, "z", "fires")), until=6,
        theirs={"a": ((2, "x fires, y fires"), (4, "x fires, y fires, z fires"))},
        ours={"a": ((1.1, "x fires"), (2.1, "y fires"), (3.3, "z fires"))},
        because=f"{FIRST_AT_ONCE}, and a message tells what is new, not all that fires",
    ),
    # Of two receivers one isn't told of ends.
    "resolved filter": Scenario(
        1, 1, 60, ((1, "x", "fires"), (1, "y", "fires"), (3, "x", "ends")), send_resolved={"b": False},
        theirs={"a": ((2, "x fires, y fires"), (4, "x ends, y fires")), "b": ((2, "x fires, y fires"),)},
        ours={"a": ((1, "x fires"), (2, "y fires"), (3, "x ends")), "b": ((1, "x fires"), (2, "y fires"))},
        because=f"{FIRST_AT_ONCE}; an end isn't held, and tells of itself alone",
    ),
    # An alert that ends while its group waits: nothing there, one message here.
    "over within the wait": Scenario(
        2, 5, 60, ((1, "x", "fires"), (2, "y", "fires"), (2.5, "y", "ends")),
        theirs={"a": ((3, "x fires"),)},
        ours={"a": ((1, "x fires"), (3, "y fires, y ends"))},
        because=FIRED_AND_RECOVERED,
    ),
}  # fmt: skip
