"""Flux's monitor package, which InfluxDB's checks are made of: levels, dead series, and changes of the level.

Source: `influxdata/flux: stdlib/influxdata/influxdb/monitor/*_test.flux` (MIT). Facts only. A check writes a status for
each of its inputs, and changes of state are found among these later, in the order of the inputs' own times. Here the
inputs come in as the statuses did, table by table or as they were emitted, and the level changes in their own time. A
level is one rule of ours, since a rule has one severity; the level is the last of them that fires.
"""

from collections.abc import Mapping, Sequence

from monitors.evaluator.model.reading import Aggregation
from tests.peers.cases import LOOK_BACK, Case, Expected, PeerRule, Samples, every

PEER = "flux/monitor"
CPU = "cpu-total"
HOUR = 3600.0


def idle(aggregation: Aggregation = Aggregation.LATEST, window: float = LOOK_BACK) -> tuple[PeerRule, ...]:
    """The check's levels: less than 25, 10 and 5."""
    return tuple(
        PeerRule(level, operator="<", low=bound, aggregation=aggregation, window=window)
        for level, bound in (("INFO", 25), ("WARN", 10), ("CRITICAL", 5))
    )


# Second 0 is 19:53:20. The points are 6 s after each ten seconds.
CHECK = Case(
    PEER,
    "monitor_check on means of 20 s",
    20,
    idle(Aggregation.AVERAGE, 20),
    {CPU: every(10, 91.7364670583823, 89.51118889861233, 4.9, 4.7, 7.0, 7.1, start=6)},
    Expected(
        levels=[(20, "OK"), (40, "CRITICAL"), (60, "WARN")],
        # All levels are true of the mean that is critical; the first mean, of 90.62382797849732, is of no level.
        values={f"{level}/{CPU}": [4.800000000000001] for level in ("INFO", "WARN", "CRITICAL")},
    ),
)


def seen_at(*hours: float) -> Samples:
    """A series whose every value is 11."""
    return tuple((hour * HOUR, 11.0) for hour in hours)


# Second 0 is 14:00, and it's asked at 20:00 who has been silent for more than an hour.
DEADMAN = Case(
    PEER,
    "deadman_add, deadman_sub: one of four series is dead",
    HOUR / 2,
    (PeerRule("dead", condition="no data on v for 1h"),),
    {
        **dict.fromkeys("ABD", seen_at(1.5, 2.5, 3.5, 4.5, 5.5)),
        "C": seen_at(0.5, 1.5, 2.5, 3.5, 4.5),
    },
    Expected(
        states={
            **{f"dead/{one}": [(6 * HOUR, "inactive")] for one in "ABD"},
            # Strictly: what was seen exactly an hour ago is alive.
            "dead/C": [(5.5 * HOUR, "inactive"), (6 * HOUR, "firing")],
        }
    ),
)


def changes(
    name: str,
    emitted: Samples,
    expected: Mapping[str, Sequence[tuple[float, str]]],
    *,
    rules: tuple[PeerRule, ...] | None = None,
    at: float = 80,
) -> Case:
    """Inputs that come in together at a second, in the order in which their statuses were emitted."""
    return Case(
        PEER, name, 24 * HOUR, rules or idle(), {CPU: ()}, Expected(changes=expected), batches=((at, emitted),)
    )  # fmt: skip


# The statuses of the check above, emitted in the order of their levels. Second 0 is 19:53:20.
_EMITTED = ((40.0, 4.800000000000001), (20.0, 90.62382797849732), (60.0, 7.05))

SMALL = (
    changes("state_changes_any_to_any", _EMITTED, {"any>any": [(40, "CRITICAL"), (60, "WARN")]}),
    changes("state_changes: any to warn", _EMITTED, {"any>WARN": [(60, "WARN")]}),
    # The statuses say info twice, whatever their values are; 24 and 23 are of that level.
    changes(
        "state_changes_info_to_any", ((40.0, 24.0), (20.0, 23.0), (60.0, 7.05)), {"INFO>any": [(60, "WARN")]}
    ),
    # Critical, and twice ok.
    Case(
        PEER,
        "state_changes_invalid_any_to_any: in the order in which they were emitted",
        1,
        idle(),
        {CPU: every(1, 4.800000000000001, 90.62382797849732, 90.62382797849732)},
        Expected(changes={"any>any": [(1, "OK")]}),
        differs="a rule begins as not firing, so that what is critical at first fires; for them nothing changes then",
        ours=Expected(changes={"any>any": [(0, "CRITICAL"), (1, "OK")]}),
    ),
    Case(
        PEER,
        "state_changes_any_to_any_same_source_timestamp",
        24 * HOUR,
        idle(),
        {CPU: ()},
        # Emitted as ok, critical and warning, a second apart.
        Expected(changes={"any>any": [(20, "CRITICAL"), (20, "WARN")]}),
        batches=((60, ((20.0, 90.0),)), (61, ((20.0, 4.0),)), (62, ((20.0, 7.0),))),
        differs="a series has one value at a time: another one replaces it, for later windows, and isn't evaluated",
        ours=Expected(changes={"any>any": []}, states={f"CRITICAL/{CPU}": [(62, "inactive")]}),
    ),
)  # fmt: skip

_OUT = PeerRule("WARN", operator="<", low=-73.8)
_IN, _NEAR, _FAR = -73.76787, -73.804858, -73.80853

# A train's longitude. Second 0 is 13:18:20. What a run of the check finds, the next run finds again.
CUSTOM = Case(
    PEER,
    "state_changes_custom_any_to_any: found more than once, and in disorder",
    24 * HOUR,
    (_OUT,),
    {"train": ()},
    Expected(
        changes={"any>any": [(137, "WARN")]},
        begun={"WARN/train": [137]},
        values={"WARN/train": [_NEAR]},
    ),
    batches=(
        (40, tuple((second, _IN) for second in (16.0, 34.0))),
        (101, tuple((second, _IN) for second in (16.0, 34.0, 51.0, 68.0, 85.0))),
        (
            401,
            (
                *((second, _FAR) for second in (171.0, 188.0, 204.0, 222.0, 239.0, 256.0, 274.0, 290.0)),
                *((second, _NEAR) for second in (137.0, 154.0)),
                *((second, _IN) for second in (103.0, 119.0)),
            ),
        ),
    ),
)

# Sixty-six statuses of three fields each: 198 rows, those of level info first. Second 0 is 20:26:50.
_BUSY = PeerRule("INFO", low=20)
_INFO = (
    *every(30, 23.3716, 29.0076, 28.9358, 28.2833, 28.3387, 29.5514, start=10),
    *every(30, 20.2291, 20.5791, start=280),
)
_OK = (
    (5.4, 11.0863),
    *every(
        30,
        18.94, 11.55, 8.50, 4.36, 7.13, 4.57, 3.78, 4.66, 4.10, 4.55, 4.43, 2.76, 3.40, 4.62, 4.36, 6.28, 4.97, 5.17,
        4.82, 4.89, 5.35, 4.47, 4.41, 2.61, 4.99, 3.99, 2.57, 4.53, 4.46, 4.57, 3.88, 5.44, 4.34, 1.41, 1.36, 2.87,
        2.43, 1.39, 2.73, 4.82, 4.25, 3.12, 2.89, 3.42, 4.42, 3.50, 4.75, 3.79, 3.54, 2.37, 3.08, 3.54, 4.23, 7.85,
        2.95, 4.91, 5.76,
        start=340,
    ),
)  # fmt: skip

BIG = tuple(
    changes(f"state_changes_big_{name}", (*_INFO, *_OK), {which: expected}, rules=(_BUSY,), at=2100)
    for name, which, expected in (
        ("info_to_ok", "INFO>OK", [(340, "OK")]),
        ("ok_to_info", "OK>INFO", [(10, "INFO")]),
        ("any_to_any", "any>any", [(10, "INFO"), (340, "OK")]),
    )
)

CASES = (CHECK, DEADMAN, *SMALL, CUSTOM, *BIG)
