"""Alertmanager's cases of inhibiting and silencing (inhibit/inhibit_test.go, acceptance/inhibit_test.go and
silence_test.go), as data.

Where Alertmanager waits for the next flush of the group, we tell at once; a second there is a hundred here.
"""

from collections.abc import Sequence

import pytest

from monitors.mesh.times import SECOND, to_timestamp
from monitors.notifier.model.inhibitions import Inhibiting, Inhibition, places_of_source
from monitors.notifier.model.matching import Matcher, Operator
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.notifier.test_delivery import make_webhook
from tests.notifier.world import RESOLVED, Receiver, World, notification

Labels = dict[str, str]
LASTS, OVER = True, False
EQUAL, NOT_EQUAL = Operator.EQUAL, Operator.NOT_EQUAL


def rule(number: int, target: Operator = EQUAL, equal: tuple[str, ...] = ("e",)) -> Inhibition:
    """Of s1 = 1 and t1 = 1, or s2 and t2."""
    sources = (Matcher(f"s{number}", EQUAL, "1"),)
    return Inhibition("t", f"inh_{number}", f"r{number}", sources, (Matcher(f"t{number}", target, "1"),), equal)


def is_inhibited(rules: Sequence[Inhibition], firing: Sequence[Labels], alert: Labels) -> bool:
    found = {place: "alert" for each in firing for place in places_of_source(rules, each)}
    return Inhibiting(rules, found).mute(alert, 0) is not None


# What fires as a source, and whether it does still; what must be equal; the alert; whether it's inhibited.
HAS_EQUAL: list[tuple[list[tuple[Labels, bool]], tuple[str, ...], Labels, bool]] = [
    ([], (), {"a": "b"}, False),
    ([({}, LASTS)], (), {"a": "b"}, True),
    ([({"a": "b", "b": "f"}, OVER), ({"a": "b", "b": "c"}, OVER)], ("a", "b"), {"a": "b", "b": "c"}, False),
    ([({"a": "b", "c": "d"}, OVER), ({"a": "b", "c": "f"}, LASTS)], ("a",), {"a": "b"}, True),
    ([({"a": "c", "c": "d"}, OVER), ({"a": "c", "c": "f"}, OVER)], ("a",), {"a": "b"}, False),
]
SOURCES: list[Labels] = [{"s1": "1", "t1": "2", "e": "1"}, {"s2": "1", "t2": "1", "e": "1"}]
# The alert, whether it's inhibited where the target is t1 = 1, and where it's t1 != 1.
MATCHES: list[tuple[Labels, bool, bool]] = [
    ({"t1": "1", "e": "1"}, True, False),
    ({"t2": "1", "e": "1"}, True, True),
    ({"t1": "1", "t3": "1", "e": "1"}, True, False),
    ({"t1": "1", "t2": "1", "e": "1"}, True, True),
    ({"t1": "0", "e": "1"}, False, True),
    ({"s1": "1", "t1": "1", "e": "1"}, True, False),
    ({"s2": "1", "t2": "1", "e": "1"}, False, True),
    ({"t1": "1", "e": "0"}, False, False),
]


def test_all_cases_are_there() -> None:
    assert (len(HAS_EQUAL), len(MATCHES), len(TIMELINES)) == (5, 8, 4)


@pytest.mark.parametrize(("sources", "equal", "alert", "expected"), HAS_EQUAL)
def test_what_must_be_equal(
    sources: list[tuple[Labels, bool]], equal: tuple[str, ...], alert: Labels, expected: bool
) -> None:
    firing = [{**labels, "s1": "1"} for labels, lasts in sources if lasts]
    assert is_inhibited([rule(1, equal=equal)], firing, {**alert, "t1": "1"}) is expected


@pytest.mark.parametrize(("alert", "equal", "not_equal"), MATCHES)
def test_which_alerts_are_inhibited(alert: Labels, equal: bool, not_equal: bool) -> None:
    assert is_inhibited([rule(1), rule(2)], SOURCES, alert) is equal
    assert is_inhibited([rule(1, NOT_EQUAL), rule(2)], SOURCES, alert) is not_equal


# By the second: what happens; then what is told by then, and what is suppressed. `+` fires, `-` is over.
Step = tuple[float, Sequence[str], Sequence[str]]
THREE = ["+test1 aa", "+InstanceDown aa", "+InstanceDown ab"]
TIMELINES: dict[str, list[Step]] = {
    "TestInhibiting": [
        (
            1,
            ["+test1 aa", "+InstanceDown aa", "+InstanceDown ab"],
            ["+test1 aa", "+InstanceDown aa", "+InstanceDown ab"],
        ),
        (1.5, ["+JobDown aa"], ["+JobDown aa"]),
        (2.2, [], ["*test1 aa", "*InstanceDown ab"]),
        (2.3, ["-JobDown aa"], ["-JobDown aa", "*InstanceDown aa"]),
    ],
    "TestAlwaysInhibiting": [
        (1, ["+InstanceDown aa", "+JobDown aa"], ["+JobDown aa"]),
        (1.6, ["-JobDown aa", "-InstanceDown aa"], ["-JobDown aa"]),
        (3, ["+test1 aa"], ["+test1 aa"]),
    ],
    "TestSilencing": [
        (1, ["+test1 aa", "+test2 aa"], ["+test1 aa", "+test2 aa"]),
        (1.5, ["silence test1 1.5 3.5"], []),
        (2.1, [], ["*test2 aa"]),
        (3.2, [], ["*test2 aa"]),
        (3.6, [], ["*test1 aa"]),
    ],
    "TestSilenceDelete": [
        (1, ["+test1 aa", "+test2 aa"], ["+test1 aa", "+test2 aa"]),
        (1.5, ["silence .+ 1.5 100"], []),
        (2.2, [], []),
        (3.5, ["end"], ["*test1 aa", "*test2 aa"]),
    ],
}
SCALE = 100


class Play:
    """A timeline that is played to a notifier."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.start, self.time, self.number = world.clock.now(), 0.0, 0
        self.told: list[str] = []

    def go_to(self, time: float) -> None:
        self.world.clock.advance((time - self.time) * SCALE)
        self.time = time

    def happen(self, events: Sequence[str]) -> None:
        notes = [self._note(event) for event in events if event[0] in "+-"]
        if notes:
            self.world.tell(*notes)
        for event in events:
            if event.startswith("silence "):
                _, title, start, end = event.split()
                matcher = npb.Matcher(name="title", operator=npb.MATCH_OPERATOR_MATCH, value=title)
                begin, over = (to_timestamp(self.start + int(float(at) * SCALE * SECOND)) for at in (start, end))
                sent = npb.Silence(matchers=[matcher], start_time=begin, end_time=over, comment="as there")
                self.silence = self.world.stub.CreateSilence(pb.CreateSilenceRequest(silence=sent)).silence.id
            elif event == "end":
                self.world.stub.DeleteSilence(pb.DeleteSilenceRequest(silence_id=self.silence))

    def _note(self, event: str) -> npb.Notification:
        self.number += 1
        title, zone = event[1:].split()
        kind = notification("x").kind if event[0] == "+" else RESOLVED
        labels = {"job": "testjob", "zone": zone}
        return notification(
            f"note{self.number}", kind, alert=event[1:], stream=event[1:], sequence=self.number, title=title,
            labels=labels, repeat=SCALE,
        )  # fmt: skip

    def expect(self, told: Sequence[str]) -> None:
        """Waits until exactly these were told further on; repeats are `*`."""
        self.told += told

        def reached(reports: Sequence[object]) -> bool:
            found = self.world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_size=1000)).deliveries
            signs = {1: "+", 2: "-", 6: "*"}
            got = [f"{signs[one.kind]}{one.alert_id}" for one in found if one.state == 3]
            return sorted(got) == sorted(self.told)

        self.world.rules.reports.wait(reached)


@pytest.mark.parametrize("name", TIMELINES)
def test_a_timeline_of_alertmanagers(world: World, receiver: Receiver, name: str) -> None:
    make_webhook(world, receiver)
    matchers = [
        npb.Matcher(name="title", operator=npb.MATCH_OPERATOR_EQUAL, value=f"{of}Down") for of in ("Job", "Instance")
    ]
    sent = npb.Inhibition(
        name="down", source_matchers=matchers[:1], target_matchers=matchers[1:], equal=["job", "zone"]
    )
    world.stub.CreateInhibition(pb.CreateInhibitionRequest(inhibition=sent))
    play = Play(world)
    for time, events, told in TIMELINES[name]:
        play.go_to(time)
        play.happen(events)
        play.expect(told)
