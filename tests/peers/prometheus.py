"""Prometheus: the alert generator's compliance suite, and the step tables of its rules.

Sources: `prometheus/compliance: alert_generator`, `prometheus/prometheus: rules/alerting_test.go, manager_test.go`
(Apache-2.0). Facts only. Of the suite's repeated messages only the first of each state is ours to tell; the repeats
that keep a stateless receiver from forgetting are replaced by an outbox that loses nothing.
"""

from tests.peers.cases import Case, Expected, Message, PeerRule, every, steps

COMPLIANCE = "prometheus/compliance"
RULES = "prometheus/rules"

RISE = ((0, 3), (15, 5), (60, 9), (120, 11))
"""How the suite's series begin: active from second 120 on."""

B1 = Case(
    COMPLIANCE,
    "B1 pending, firing, resolved, and again",
    30,
    (PeerRule(low=10, pending=360),),
    {"one": steps(*RISE, (315, 15), (795, 19), (1035, 9), (1335, 11), (2010, 9), step=15, until=2940)},
    Expected(
        states={
            "rule/one": [
                (0, "inactive"), (90, "inactive"), (120, "pending"), (330, "pending"), (450, "pending"),
                (480, "firing"), (810, "firing"), (1020, "firing"), (1050, "inactive"), (1320, "inactive"),
                (1350, "pending"), (1680, "pending"), (1710, "firing"), (1980, "firing"), (2010, "inactive"),
                (2940, "inactive"),
            ]
        },
        messages=[
            Message(480, "firing", "rule/one"), Message(1050, "resolved", "rule/one"),
            Message(1710, "firing", "rule/one"), Message(2010, "resolved", "rule/one"),
        ],
        begun={"rule/one": [120, 1350]},
    ),
)  # fmt: skip

B2 = Case(
    COMPLIANCE,
    "B2 pending that ends in silence, and a rule that is never active",
    30,
    (PeerRule("active", low=10, pending=360), PeerRule("idle", low=99, pending=360)),
    {"one": steps(*RISE, (285, 9), step=15, until=285)},
    Expected(
        states={
            "active/one": [
                (90, "inactive"), (120, "pending"), (270, "pending"), (300, "inactive"), (900, "inactive")
            ],
            "idle/one": [(0, "inactive"), (120, "inactive"), (300, "inactive"), (900, "inactive")],
        },
        messages=[],
    ),
)  # fmt: skip

_TWICE = steps(*RISE[:-1], (120, 15), (315, 9), (1395, 11), (1590, 9), step=15, until=1650)

B3 = Case(
    COMPLIANCE,
    "B3 no `for`, and one that is shorter than the interval",
    30,
    (PeerRule("zero", low=10), PeerRule("small", low=13, pending=15)),
    {"one": _TWICE},
    Expected(
        states={
            "zero/one": [
                (90, "inactive"), (120, "firing"), (300, "firing"), (330, "inactive"), (1380, "inactive"),
                (1410, "firing"), (1560, "firing"), (1590, "inactive"),
            ],
            "small/one": [
                (90, "inactive"), (120, "pending"), (150, "firing"), (300, "firing"), (330, "inactive"),
                (1410, "inactive"), (1590, "inactive"),
            ],
        },
        messages=[
            Message(120, "firing", "zero/one"), Message(150, "firing", "small/one"),
            Message(330, "resolved", "zero/one"), Message(330, "resolved", "small/one"),
            Message(1410, "firing", "zero/one"), Message(1590, "resolved", "zero/one"),
        ],
        begun={"zero/one": [120, 1410], "small/one": [120]},
    ),
)  # fmt: skip

B4 = Case(
    COMPLIANCE,
    "B4 a second series becomes active while the first one fires, and a rule on both",
    30,
    (
        PeerRule(low=10, pending=180),
        # Theirs asks whether both alerts fire, in the same cycle: that is where both have been active for 180 s.
        PeerRule("both", condition=" and ".join(
            f'min by () (min(v{{series="{one}"}}, 180s)) > 10' for one in ("one", "two")
        )),
    ),
    {
        "one": steps((0, 1), (120, 11), (1095, 9), step=15, until=1410),
        "two": steps((0, 1), (480, 11), (975, 9), step=15, until=1410),
    },
    Expected(
        states={
            "rule/one": [(90, "inactive"), (120, "pending"), (270, "pending"), (300, "firing"), (1080, "firing"),
                         (1110, "inactive")],
            "rule/two": [(450, "inactive"), (480, "pending"), (630, "pending"), (660, "firing"), (960, "firing"),
                         (990, "inactive")],
            "both/": [(300, "inactive"), (480, "inactive"), (630, "inactive"), (660, "firing"), (960, "firing"),
                      (990, "inactive"), (1110, "inactive")],
        },
        messages=[
            Message(300, "firing", "rule/one"), Message(660, "firing", "rule/two"), Message(660, "firing", "both/"),
            Message(990, "resolved", "rule/two"), Message(990, "resolved", "both/"),
            Message(1110, "resolved", "rule/one"),
        ],
        begun={"rule/one": [120], "rule/two": [480]},
    ),
)  # fmt: skip

ALERTING_RULE = Case(
    RULES,
    "TestAlertingRule",
    300,
    (PeerRule(operator="<", low=100, pending=60),),
    {"A": every(300, 75, 85, 95, 105, 105, 95, 85), "B": every(300, 80, 90, 100, 110, 120, 130, 140)},
    Expected(
        states={
            "rule/A": [
                (0, "pending"), (300, "firing"), (600, "firing"), (900, "inactive"), (1200, "inactive"),
                (1500, "pending"), (1800, "firing"),
            ],
            "rule/B": [
                (0, "pending"), (300, "firing"), (600, "inactive"), (900, "inactive"), (1200, "inactive"),
                (1500, "inactive"), (1800, "inactive"),
            ],
        }
    ),
)  # fmt: skip

FOR_STATE_SAMPLES = Case(
    RULES,
    "TestForStateAddSamples",
    300,
    ALERTING_RULE.rules,
    ALERTING_RULE.series,
    Expected(begun={"rule/A": [0, 1500], "rule/B": [0]}),
)

KEEP_FIRING = Case(
    RULES,
    "TestKeepFiringFor",
    60,
    (PeerRule(low=50, pending=60, keep=60),),
    {"one": every(60, 75, 85, 70, 70, 10, 10, 10, 10, 10, 10)},
    Expected(
        states={
            "rule/one": [
                (0, "pending"), (60, "firing"), (120, "firing"), (180, "firing"), (240, "firing"), (300, "inactive")
            ]
        },
    ),
)  # fmt: skip

PENDING_AND_KEEP_FIRING = Case(
    RULES,
    "TestPendingAndKeepFiringFor",
    60,
    (PeerRule(low=50, pending=60, keep=60),),
    {"one": every(60, 75, *[10] * 11)},
    Expected(states={"rule/one": [(0, "pending"), (60, "inactive")]}, messages=[]),
)

_HIGH = PeerRule(operator="<", low=100, pending=1500)
_REQUESTS = {
    "0": every(300, 75, 85, 50, 0, 0, 25, 0, 0, 40, 0, 120),
    "1": every(300, 125, 90, 60, 0, 0, 25, 0, 0, 40, 0, 130),
}
_LONGER = {name: (*samples, *every(300, *[0] * 8, start=3300)) for name, samples in _REQUESTS.items()}

# Which instances are pending since when is seen when they fire; where the published data end before, they go on.
RESTORE = (
    Case(
        RULES,
        "TestForStateRestore: the outage does not count",
        300,
        (_HIGH,),
        _REQUESTS,
        Expected(begun={"rule/0": [600], "rule/1": [900]}),
        outage=(300, 900),
    ),
    Case(
        RULES,
        "TestForStateRestore: an outage beyond the tolerance starts over",
        300,
        (_HIGH,),
        {name: tuple(one for one in samples if one[1] < 100) for name, samples in _LONGER.items()},
        Expected(begun={"rule/0": [2400], "rule/1": [2400]}),
        outage=(300, 2400),
        differs="R2: we tolerate an outage of one hour, whatever the rule; theirs was set to 30 minutes",
        ours=Expected(begun={"rule/0": [2100], "rule/1": [2400]}),
    ),
    Case(
        RULES,
        "TestForStateRestore: nothing is active any more",
        300,
        (_HIGH,),
        _REQUESTS,
        Expected(states={"rule/0": [(3300, "inactive")], "rule/1": [(3300, "inactive")]}, messages=[]),
        outage=(300, 3000),
    ),
    Case(
        RULES,
        "TestForStateRestore: the grace period",
        300,
        (_HIGH,),
        _REQUESTS,
        Expected(begun={"rule/0": [600], "rule/1": [600]}),
        outage=(1200, 1500),
        differs="R2: no grace period is added, since the saved state says what was pending; only the outage counts out",
        ours=Expected(begun={"rule/0": [300], "rule/1": [600]}),
    ),
)

CASES = (
    B1, B2, B3, B4, ALERTING_RULE, FOR_STATE_SAMPLES, KEEP_FIRING, PENDING_AND_KEEP_FIRING, *RESTORE,
)  # fmt: skip
