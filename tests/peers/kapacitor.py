"""Kapacitor: levels with resets, state changes, durations, `all()`, and how long a state lasts.

Source: `influxdata/kapacitor: integrations/streamer_test.go, batcher_test.go` and their recordings (MIT). Facts only.
Three levels are one rule of ours, whose INFO, WARN and CRITICAL are LOW, HIGH and CRITICAL.
"""

from collections.abc import Sequence

from monitors.evaluator.model.reading import Aggregation
from tests.peers.cases import Case, Expected, Message, PeerLevel, PeerRule, Samples, every

PEER = "kapacitor"
LEVELS = {"I": "INFO", "W": "WARN", "C": "CRITICAL", "-": "OK"}


def levels(initials: str, step: float = 1.0) -> Sequence[tuple[float, str]]:
    """The level after each point, by its initial."""
    return [(step * index, LEVELS[one]) for index, one in enumerate(initials)]


def with_reset(
    name: str, bounds: Sequence[float], resets: Sequence[float], values: Sequence[float], expected: str
) -> Case:
    """Three levels, each with a reset below which it ends."""
    info, *others = (
        PeerLevel(level, bound, ("<", reset))
        for level, bound, reset in zip(("INFO", "WARN", "CRITICAL"), bounds, resets, strict=True)
    )
    rule = PeerRule(low=info.low, recover=info.reset, level=info.name, levels=tuple(others))
    return Case(PEER, name, 1, (rule,), {"serverA": every(1, *values)}, Expected(levels=levels(expected)))


HYSTERESIS = (
    with_reset(
        "C1 Alert_WithReset_0", (40, 60, 80), (10, 20, 30), (45, 40, 30, 9, 45, 61, 30, 19, 45, 61, 81, 29),
        "III-IWW-IWC-",
    ),
    with_reset(
        "C1 Alert_WithReset_1", (40, 60, 80), (30, 50, 70),
        (45, 40, 30, 29, 45, 61, 49, 29, 45, 61, 81, 69, 50, 41, 25), "III-IWI-IWCWWI-",
    ),
    with_reset("L1-L3 alert.go", (60, 70, 80), (50, 60, 70), (61, 73, 64, 85, 62, 56, 47), "IWWCII-"),
)  # fmt: skip

IDLE: Samples = every(1, 97.1, 92.6, 95.6, 93.1, 92.6, 95.8, 92.7, 96.0, 93.4, 95.3, 92.4, 95.1)

STATE_CHANGES = Case(
    PEER,
    "C2 AlertStateChangesOnly: 4 points below 93 are 8 messages",
    1,
    (PeerRule(operator="<", low=93),),
    {"serverA": IDLE},
    Expected(
        messages=[
            Message(second, what, "rule/serverA")
            for second, what in (
                (1, "firing"), (2, "resolved"), (4, "firing"), (5, "resolved"), (6, "firing"), (7, "resolved"),
                (10, "firing"), (11, "resolved"),
            )
        ]
    ),
)  # fmt: skip

_REMINDED = Case(
    PEER,
    "C2 AlertStateChangesOnlyExpired: a reminder every 2 s",
    1,
    (PeerRule(operator="<", low=97),),
    {"serverA": (*IDLE[:10], (10.0, 98.4), (11.0, 97.1))},
    Expected(
        messages=[
            *(Message(second, "firing", "rule/serverA") for second in (1, 3, 5, 7, 9)),
            Message(10, "resolved", "rule/serverA"),
        ],
    ),
    differs="reminders are the notifier's repeats of one episode, and not transitions: only the first firing is one",
    ours=Expected(messages=[Message(1, "firing", "rule/serverA"), Message(10, "resolved", "rule/serverA")]),
)

DURATION = Case(
    PEER,
    "C4 AlertDuration: a change of level keeps the start",
    1,
    (PeerRule(low=7, level="WARN", levels=(PeerLevel("CRITICAL", 8),)),),
    {"serverA": every(1, 9, 9, 8, 8, 6, 8, 8, 8, 3, 5, 7, 7)},
    # The episodes are the original's durations: 0 to 4, and 5 to 8.
    Expected(levels=levels("CCWW-WWW----"), begun={"rule/serverA": [0, 5]}),
)

_MEANS = {
    "cpu-total": (
        90.38281469458698, 86.51447101892941, 91.71877558217454, 87.10524436107617, 90.3900735196668,
        90.8919959776013, 86.54244306420236, 91.01699558842134, 85.66378399063848, 89.90919811320221,
        91.06416290101595, 85.9694442394385, 90.62985736134186, 86.45443196005628, 88.97243107764031,
    ),
    "cpu0": (
        83.56930693069836, 79.12871287128638, 88.99559823928229, 85.50000000000182, 86.02860286029956,
        81.72501716191164, 81.03810381037587, 85.93434343435388, 85.36734693878043, 83.01320528210614,
        85.08910891088406, 78.00000000002001, 84.23607066586464, 80.85858585861834, 80.61224489791657,
    ),
    "cpu1": (
        93.49999999999409, 91.44444444443974, 93.44897959187637, 95.99999999995998, 97.00970097012197,
        95.98484848485191, 92.098039215696, 92.99999999998363, 86.54015887023496, 95.48979591840603,
        96.49999999996908, 93.46464646468584, 95.00950095007724, 92.99999999998636, 90.99999999998545,
    ),
}  # fmt: skip


def every_point_of_a_batch(low: float, expected: dict[str, str]) -> Case:
    """`all()` on batches of five points, which end at 10, 20 and 30: the smallest of them must breach."""
    return Case(
        PEER,
        f"C6 AlertAll > {low}",
        10,
        (PeerRule(low=low, aggregation=Aggregation.MINIMUM, window=8),),
        {series: every(2, *means, start=2) for series, means in _MEANS.items()},
        Expected(states={f"rule/{series}": [(30, state)] for series, state in expected.items()}),
    )


_BUSY = {
    "serverA": every(1, 97.1, 96.6, 83.6, 99.1, 0),
    "serverB": ((0.0, 47.0), (1.0, 95.1), (3.0, 96.1), (4.0, 0.0)),
}


def state_duration(at_least: float, states: dict[str, Sequence[tuple[float, str]]]) -> Case:
    """`stateDuration` of `> 95` reaches so many seconds exactly when a rule with that `for` fires."""
    return Case(
        PEER, f"C7 stateDuration >= {at_least} s", 1, (PeerRule(low=95, pending=at_least),), _BUSY,
        Expected(states={f"rule/{series}": one for series, one in states.items()}),
    )  # fmt: skip


# The durations are 0, 1, -1, 0, -1 of serverA, and -1, 0, none, 2, -1 of serverB, whose third point has another field.
DURATIONS = (
    state_duration(
        0,
        {
            "serverA": [(0, "firing"), (1, "firing"), (2, "inactive"), (3, "firing"), (4, "inactive")],
            "serverB": [(0, "inactive"), (1, "firing"), (3, "firing"), (4, "inactive")],
        },
    ),
    state_duration(
        1,
        {
            "serverA": [(0, "pending"), (1, "firing"), (2, "inactive"), (3, "pending"), (4, "inactive")],
            "serverB": [(0, "inactive"), (1, "pending"), (3, "firing"), (4, "inactive")],
        },
    ),
    state_duration(
        2,
        {
            "serverA": [(0, "pending"), (1, "pending"), (2, "inactive"), (3, "pending"), (4, "inactive")],
            "serverB": [(0, "inactive"), (1, "pending"), (3, "firing"), (4, "inactive")],
        },
    ),
)


def state_count(at_least: int, states: dict[str, Sequence[tuple[float, str]]]) -> Case:
    """`stateCount` of `> 95` reaches so many points exactly when a rule on that many points in a row fires."""
    return Case(
        PEER, f"C7 stateCount >= {at_least}", 1, (PeerRule(low=95, in_a_row=at_least),), _BUSY,
        Expected(states={f"rule/{series}": one for series, one in states.items()}),
    )  # fmt: skip


# The counts are 1, 2, -1, 1, -1 of serverA, and -1, 1, none, 2, -1 of serverB.
COUNTS = (
    state_count(
        1,
        {
            "serverA": [(0, "firing"), (1, "firing"), (2, "inactive"), (3, "firing"), (4, "inactive")],
            "serverB": [(0, "inactive"), (1, "firing"), (3, "firing"), (4, "inactive")],
        },
    ),
    state_count(
        2,
        {
            "serverA": [(0, "inactive"), (1, "firing"), (2, "inactive"), (3, "inactive"), (4, "inactive")],
            "serverB": [(0, "inactive"), (1, "inactive"), (3, "firing"), (4, "inactive")],
        },
    ),
)

CASES = (
    *HYSTERESIS,
    STATE_CHANGES,
    _REMINDED,
    DURATION,
    every_point_of_a_batch(92, {"cpu-total": "inactive", "cpu0": "inactive", "cpu1": "inactive"}),
    every_point_of_a_batch(90, {"cpu-total": "inactive", "cpu0": "inactive", "cpu1": "firing"}),
    *DURATIONS,
    *COUNTS,
)
