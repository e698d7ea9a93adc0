"""vmalert's step tables: Exec, ExecRange and Restore.

Source: `VictoriaMetrics/VictoriaMetrics: app/vmalert/rule/alerting_test.go` (Apache-2.0). Facts only. Its steps name
the series that the query returns, which are those whose condition holds: here 1 where a series is returned and 0 where
it isn't, and the rule is `> 0`.
"""

from collections.abc import Sequence
from itertools import pairwise

from tests.peers.cases import Case, Expected, PeerRule, Samples

EXEC = "vmalert/exec"
RANGE = "vmalert/range"
RESTORE = "vmalert/restore"

STEP = 0.005
INITIALS = {"P": "pending", "F": "firing", "-": "inactive"}


def executed(
    name: str, steps: Sequence[str], states: dict[str, str], *, pending: float = 0, keep: float = 0, **more: float
) -> Case:
    """A table of Exec: the series that each step returns, and for each series an initial of its state after each."""
    return Case(
        EXEC,
        name,
        STEP,
        (PeerRule(pending=pending, keep=keep),),
        {
            series: tuple((round(STEP * index, 3), float(series in step.split())) for index, step in enumerate(steps))
            for series in states
        },
        Expected(
            states={
                f"rule/{series}": [(round(STEP * index, 3), INITIALS[one]) for index, one in enumerate(initials)]
                for series, initials in states.items()
            },
            begun={f"rule/{series}": [begun] for series, begun in more.items()},
        ),
    )


_FOO = "foo"

EXECUTED = (
    executed("empty_labels", ["one"], {"one": "F"}),
    executed("single-firing=>inactive=>firing=>inactive=>inactive", [_FOO, "", _FOO, "", ""], {_FOO: "F-F--"}),
    executed(
        "single-firing=>inactive=>firing=>inactive=>inactive=>firing",
        [_FOO, "", _FOO, "", "", _FOO],
        {_FOO: "F-F--F"},
    ),
    executed("multiple-firing", ["foo foo1 foo2"], {"foo": "F", "foo1": "F", "foo2": "F"}),
    executed("multiple-steps-firing", ["foo", "foo1", "foo2"], {"foo": "F--", "foo1": "-F-", "foo2": "--F"}),
    executed("for-pending", [_FOO], {_FOO: "P"}, pending=60),
    executed("for-fired", [_FOO, _FOO], {_FOO: "PF"}, pending=STEP, foo=0),
    executed("for-pending=>empty", [_FOO, _FOO, ""], {_FOO: "PP-"}, pending=1),
    executed(
        "for-pending=>firing=>keepfiring=>firing", [_FOO, _FOO, "", _FOO], {_FOO: "PFFF"}, pending=STEP, keep=STEP,
        foo=0,
    ),
    executed(
        "for-pending=>firing=>keepfiring=>keepfiring=>inactive=>pending=>firing",
        [_FOO, _FOO, "", "", "", _FOO, _FOO],
        {_FOO: "PFFF-PF"},
        pending=STEP,
        keep=2 * STEP,
    ),
    Case(
        EXEC,
        "for-pending=>firing=>inactive=>pending=>firing",
        STEP,
        (PeerRule(pending=STEP),),
        {"foo": ((0, 1), (0.005, 1), (0.01, 0), (0.015, 1), (0.02, 1))},
        Expected(
            states={
                "rule/foo": [
                    (0, "pending"), (0.005, "firing"), (0.01, "inactive"), (0.015, "pending"), (0.02, "firing")
                ]
            },
            begun={"rule/foo": [0, 0.015]},
        ),
    ),
)  # fmt: skip


def ranged(
    name: str,
    step: float,
    returned: dict[str, Sequence[float]],
    states: dict[str, str],
    *,
    pending: float = 0,
    begun: dict[str, Sequence[float]] | None = None,
) -> Case:
    """A table of ExecRange: the seconds that the range query returns for each series.

    What it leaves out for longer than its step is where the condition was false.
    """
    return Case(
        RANGE,
        name,
        1,
        (PeerRule(pending=pending),),
        {series: _with_gaps(seconds, step) for series, seconds in returned.items()},
        Expected(
            states={
                f"rule/{series}": [
                    (second, INITIALS[one]) for second, one in zip(returned[series], initials, strict=True)
                ]
                for series, initials in states.items()
            },
            begun={f"rule/{series}": seconds for series, seconds in (begun or {}).items()},
        ),
    )


def _with_gaps(seconds: Sequence[float], step: float) -> Samples:
    samples = [(seconds[0], 1.0)]
    for before, after in pairwise(seconds):
        if after - before > max(step, 1):
            samples.append((before + 1, 0.0))
        samples.append((after, 1.0))
    return tuple(samples)


_GAP = [1, 2, 5, 6, 20]

RANGED = (
    ranged("empty labels", 0, {"one": [1]}, {"one": "F"}, begun={"one": [1]}),
    ranged("single-firing", 0, {"foo": [1]}, {"foo": "F"}, begun={"foo": [1]}),
    ranged(
        "single-firing-on-range", 0, {"one": [1000, 2000, 3000]}, {"one": "FFF"}, begun={"one": [1000, 2000, 3000]}
    ),
    ranged("for-pending", 1, {"one": [1, 3, 5]}, {"one": "PPP"}, pending=1),
    ranged("for-firing", 3, {"one": [1, 3, 5]}, {"one": "PPF"}, pending=3, begun={"one": [1]}),
    ranged("for-hold-pending", 1, {"one": [1, 2, 5]}, {"one": "PFP"}, pending=1, begun={"one": [1]}),
    ranged(
        "firing=>inactive=>inactive=>firing=>firing", 1, {"one": [1, 4, 5, 6]}, {"one": "FFFF"}, begun={"one": [1, 4]}
    ),
    ranged(
        "for=>pending=>firing=>pending=>firing=>pending", 1, {"one": _GAP}, {"one": "PFPFP"}, pending=1,
        begun={"one": [1, 5]},
    ),
    ranged(
        "multi-series", 3, {"one": [1, 3, 5], "bar": [1, 5]}, {"one": "PPF", "bar": "PP"}, pending=3,
        begun={"one": [1], "bar": []},
    ),
    ranged(
        "multi-series-firing", 0, {"one": [1, 100], "bar": [1, 5]}, {"one": "FF", "bar": "FF"},
        begun={"one": [1, 100], "bar": [1, 5]},
    ),
    Case(
        RANGE,
        "for=>pending=>firing=>pending=>firing=>pending, the data themselves being away in the gaps",
        1,
        (PeerRule(pending=1),),
        {"one": tuple((float(second), 1.0) for second in _GAP)},
        Expected(begun={"rule/one": [1, 5]}),
        differs="T4, T5: a gap that is shorter than the look-back has no effect, live or over a range of the past",
        ours=Expected(begun={"rule/one": [1]}),
    ),
)  # fmt: skip


_SHIFTED = "R2: the outage doesn't count towards `for`, so that what was pending since 0 is so since the outage's end"
_HELD = ((0.0, 1.0), (100.0, 1.0))
"""Active before the outage, from 0 to 100, and after it."""
_FOO_RULE, _BAR_RULE = PeerRule("foo", pending=1), PeerRule("bar", pending=1)


def restored(
    name: str,
    begun: dict[str, float],
    ours: dict[str, float] | None = None,
    *,
    rules: tuple[PeerRule, ...] = (_FOO_RULE,),
    before: tuple[PeerRule, ...] | None = None,
    series: Sequence[str] = ("one",),
    series_before: Sequence[str] | None = None,
) -> Case:
    """A table of Restore: since when each instance is pending after the start, seen when it fires."""
    held = dict.fromkeys(series, (*_HELD, (103.0, 1.0)))
    return Case(
        RESTORE,
        name,
        1,
        rules,
        held,
        Expected(begun={instance: [second] for instance, second in begun.items()}),
        outage=(0, 100),
        before=before,
        series_before=None if series_before is None else dict.fromkeys(series_before, _HELD),
        differs=_SHIFTED if ours else "",
        ours=Expected(begun={instance: [second] for instance, second in ours.items()}) if ours else None,
    )


RESTORED = (
    restored("one active alert, no previous state", {"foo/one": 101}, before=()),
    restored("one active alert with its state", {"foo/one": 0}, {"foo/one": 100}),
    restored(
        "one rule, two active alerts, one with its state",
        {"foo/prod": 0, "foo/dev": 101},
        {"foo/prod": 100, "foo/dev": 101},
        series=("prod", "dev"),
        series_before=("prod",),
    ),
    restored(
        "two rules, two active alerts, one with its state",
        {"foo/one": 101, "bar/one": 0},
        {"foo/one": 101, "bar/one": 100},
        rules=(_FOO_RULE, _BAR_RULE),
        before=(_BAR_RULE,),
    ),
    restored(
        "two rules, two active alerts, two with their state",
        {"foo/one": 0, "bar/one": 0},
        {"foo/one": 100, "bar/one": 100},
        rules=(_FOO_RULE, _BAR_RULE),
    ),
    restored("one active alert but another's state", {"foo/one": 101}, before=(_BAR_RULE,)),
    restored("one active alert with labels", {"foo/dev": 0}, {"foo/dev": 100}, series=("dev",)),
    restored(
        "one active alert and other labels in the state", {"foo/dev": 101}, series=("dev",), series_before=("foo",)
    ),
    restored(
        "two active alerts with labels of their own",
        {"foo/dev": 0, "foo/prod": 0},
        {"foo/dev": 100, "foo/prod": 100},
        series=("dev", "prod"),
    ),
)

CASES = (*EXECUTED, *RANGED, *RESTORED)
