"""Kapacitor: flapping, unusual values, inhibition and kept state, as far as conditions say the same.

Source: `influxdata/kapacitor: integrations/streamer_test.go, server/server_test.go, alert/inhibit_test.go` and their
recordings (MIT). Facts only.
"""

from collections.abc import Mapping, Sequence

from tests.peers.cases import Case, Expected, Message, PeerRule, Samples, every
from tests.peers.kapacitor import IDLE, PEER

# --- C3: a level that flaps ---


def _sum(shortest: int, longest: int) -> str:
    return "(" + " + ".join(f"changes(level, {window}s)" for window in range(shortest, longest + 1)) + ")"


# The levels are points here, since a condition can't look at an alert's level. Of 21, one a second, twenty may be
# changes. The newest weighs 1.2 and the oldest 0.8, in equal steps of 2/95, which makes 57 and 38 steps. A change that
# is `age` seconds old is in the windows of `age + 1` to 20 seconds: the longest counts it with 38, the others once.
STEPS = f"(38 * changes(level, 20s) + {_sum(1, 10)} + {_sum(11, 19)})"
FLAPPING = PeerRule("flapping", condition=f"{STEPS} / 950 > 0.5 recover < 0.25")
"""The weighted share of the last twenty states that are others than those before."""


def levels_of(values: Samples) -> Samples:
    """Levels 0 to 3: how many of the bounds 95, 94 and 93 the values are below."""
    return tuple((second, float(sum(value < bound for bound in (95, 94, 93)))) for second, value in values)


FLAPS = Case(
    PEER,
    "C3 AlertFlapping: what flaps isn't told",
    1,
    (FLAPPING,),
    {"level/serverA": levels_of(IDLE)},
    # Nine messages, one for each of the first nine changes; the last two changes are kept back.
    Expected(
        states={"flapping/serverA": [(second, "inactive") for second in range(10)] + [(10, "firing"), (11, "firing")]}
    ),
    differs="as it's documented the newest change weighs most; theirs weighs least, and the one before isn't counted",
    ours=Expected(
        states={
            "flapping/serverA": [(second, "inactive") for second in range(9)]
            + [(9, "firing"), (10, "firing"), (11, "firing")]
        },
        values={"flapping/serverA": [477 / 950]},
    ),
)

# --- C5: unusual values ---

_CPU: Samples = every(1, 97.1, 92.6, 95.6, 93.1, 92.6, 95.8, 92.7, 16.0, 93.4, 95.3, 96.4, 95.1)
_OTHER: Samples = tuple((second, 96.0 if value == 16 else value) for second, value in _CPU)
_TWO_SERVERS: Mapping[str, Samples] = {"host=serverA": _CPU, "host=serverB": _OTHER}
_SERVER_A = 'v{host="serverA"}'


def sigma_squared(bound: float) -> str:
    """How many sample deviations from the running mean a value is, squared; ours is the deviation of a population."""
    x, past = _SERVER_A, f"({_SERVER_A}, 1m)"
    distance, count, deviation = f"({x} - avg{past})", f"count{past}", f"stddev{past}"
    return f"{distance} * {distance} * ({count} - 1) / ({count} * {deviation} * {deviation}) > {bound**2}"


_LEVELS: Sequence[tuple[float, str]] = [(second, "INFO" if second == 7 else "OK") for second in range(12)]

SIGMA = Case(
    PEER,
    "C5 AlertSigma: once, at the eighth second",
    1,
    tuple(
        PeerRule(level, condition=sigma_squared(bound))
        for level, bound in (("INFO", 2), ("WARN", 3), ("CRITICAL", 3.5))
    ),
    _TWO_SERVERS,
    Expected(
        levels=_LEVELS,
        messages=[Message(7, "firing", "INFO/host=serverA"), Message(8, "resolved", "INFO/host=serverA")],
        values={"INFO/host=serverA": [2.469916402324427**2]},
    ),
)

ANOMALY = Case(
    PEER,
    "C5 AlertSigma, by our own measure of what is unusual",
    1,
    (PeerRule("INFO", condition=f"anomaly({_SERVER_A}, 1m) > 2"),),
    _TWO_SERVERS,
    Expected(levels=_LEVELS),
    differs="a robust score needs ten points of past, and there are seven before the value that stands out",
    ours=Expected(levels=[(second, "OK") for second in range(12)], messages=[]),
)

# --- C8: inhibition, and state that is kept ---

# An alert that inhibits others with equal tags is a condition that these must not meet. Whether something is told is
# the notifier's; here what would be kept back doesn't fire at all.
INHIBITOR = Case(
    PEER,
    "C8 TestInhibitor_IsInhibited",
    1,
    (PeerRule("alert", condition="alert > 0 unless on (a) inhibitor > 0"), PeerRule("foo", condition="foo > 0")),
    {
        "alert/a=x": every(1, 1, 1),
        "alert/a=y": every(1, 1, 1),
        "alert/a=x,b=y": every(1, 1, 1),
        "foo/a=x": every(1, 1, 1),
        "inhibitor/a=x": every(1, 0, 1),
    },
    Expected(
        states={
            "alert/a=x": [(0, "firing"), (1, "inactive")],
            "alert/a=y": [(1, "firing")],
            "alert/a=x,b=y": [(1, "inactive")],
            "foo/a=x": [(1, "firing")],
        }
    ),
)

# Second 0: three inhibitors; second 1: foo of B comes as well; second 2: bar of B goes.
LOOKUP = Case(
    PEER,
    "C8 TestInhibitorLookup_IsInhibited",
    1,
    tuple(PeerRule(name, condition=f"{name} > 0 unless on (host) no_{name} > 0") for name in ("foo", "bar")),
    {
        **{f"{name}/host={host}": every(1, 1, 1, 1) for name in ("foo", "bar") for host in "AB"},
        "no_foo/host=A": every(1, 1, 1, 1),
        "no_foo/host=B": every(1, 0, 1, 1),
        "no_bar/host=A": every(1, 1, 1, 1),
        "no_bar/host=B": every(1, 1, 1, 0),
    },
    Expected(
        states={
            "foo/host=A": [(0, "inactive"), (1, "inactive"), (2, "inactive")],
            "foo/host=B": [(0, "firing"), (1, "inactive"), (2, "inactive")],
            "bar/host=B": [(0, "inactive"), (1, "inactive"), (2, "firing")],
        }
    ),
)

_REGION = "unless on (region) region > 0"
_HOST = f"unless on (region, host) host > 0 {_REGION}"
_BUSY: Samples = ((0.0, 0.0), (1.0, 1.0))
"""What is true from second 1 on."""


def told(
    instance: str, seconds: Sequence[int], kept_back: Sequence[int] = ()
) -> dict[str, Sequence[tuple[float, str]]]:
    """At which seconds an alert was told, and at which it was kept back, or over."""
    found = [*((second, "firing") for second in seconds), *((second, "inactive") for second in kept_back)]
    return {instance: sorted(found)}


INHIBITION = Case(
    PEER,
    "C8 Alert_Inhibition: a host inhibits its own, a region all that is in it",
    1,
    (
        PeerRule("cpu", condition=f"cpu > 0 {_HOST}"),
        PeerRule("mem", condition=f"mem > 0 {_HOST}"),
        PeerRule("host", condition=f"host > 0 {_REGION}"),
        PeerRule("region", condition="region > 0"),
    ),
    {
        **{
            f"cpu/cpu={cpu},host={host},region={region}": _BUSY
            if f"{cpu}{host}{region}" in ("0Bwest", "1Aeast")
            else _BUSY[:1]
            for region in ("west", "east")
            for host in "AB"
            for cpu in "01"
        },
        **{
            f"mem/host={host},region={region}": _BUSY if f"{host}{region}" in ("Bwest", "Aeast") else _BUSY[:1]
            for region in ("west", "east")
            for host in "AB"
        },
        "host/host=A,region=west": ((0.0, 0.0), (7.0, 1.0)),
        "host/host=B,region=west": ((0.0, 0.0), (2.0, 1.0), (4.0, 0.0)),
        "host/host=A,region=east": ((0.0, 0.0),),
        "host/host=B,region=east": ((0.0, 0.0), (2.0, 1.0), (4.0, 0.0), (7.0, 1.0)),
        "region/region=west": ((0.0, 0.0),),
        "region/region=east": ((0.0, 0.0), (6.0, 1.0), (8.0, 0.0)),
    },
    Expected(
        states={
            **told("cpu/cpu=0,host=B,region=west", (1, 5, 7, 9), kept_back=(3,)),
            **told("cpu/cpu=1,host=A,region=east", (1, 3, 5, 9), kept_back=(7,)),
            **told("mem/host=B,region=west", (1, 5, 7, 9), kept_back=(3,)),
            **told("mem/host=A,region=east", (1, 3, 5, 9), kept_back=(7,)),
            **told("host/host=B,region=west", (2,), kept_back=(4,)),
            **told("host/host=B,region=east", (2, 9), kept_back=(4, 7)),
            **told("host/host=A,region=west", (7, 9)),
            **told("region/region=east", (6,), kept_back=(8,)),
            # Nothing is told of the others.
            **told("cpu/cpu=0,host=A,region=west", (), kept_back=(1, 3, 5, 7, 9)),
            **told("mem/host=B,region=east", (), kept_back=(1, 3, 5, 7, 9)),
            **told("region/region=west", (), kept_back=(1, 3, 5, 7, 9)),
        }
    ),
)

PERSISTED = Case(
    PEER,
    "C8 AlertTopic_PersistedState",
    1,
    (PeerRule("WARN"), PeerRule("CRITICAL", low=1)),
    {"": ((0.0, 1.0),)},
    # After the restart it's the same event, of the same time and level, and none that is critical.
    Expected(
        states={"WARN/": [(0, "firing"), (60, "firing")]},
        levels=[(60, "WARN")],
        begun={"WARN/": [0], "CRITICAL/": []},
    ),
    outage=(0, 60),
)

CASES = (FLAPS, SIGMA, ANOMALY, INHIBITOR, LOOKUP, INHIBITION, PERSISTED)
