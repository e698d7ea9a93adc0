"""Routes: an alert whose rule names no channel goes where its labels and its severity send it."""

from collections.abc import Mapping, Sequence

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.notifier.model.matching import Matcher, Operator
from monitors.notifier.model.policies import arranged
from monitors.notifier.model.routes import Route, channels_of, routes_of
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1 import rule_pb2
from tests.notifier.world import ACKNOWLEDGED, RESOLVED, SEVERITY_CHANGED, World, notification

EQUAL, MATCH = npb.MATCH_OPERATOR_EQUAL, npb.MATCH_OPERATOR_MATCH
CRITICAL = npb.Matcher(name="severity", operator=EQUAL, value="critical")
OF_HOST = npb.Matcher(name="monitor_id", operator=EQUAL, value="mon_host")


def make_channel(world: World, name: str, *, default: bool = False) -> npb.Channel:
    sent = npb.Channel(name=name, console=npb.ConsoleChannel(), is_default=default)
    return world.stub.CreateChannel(pb.CreateChannelRequest(channel=sent)).channel


def make_channels(world: World) -> None:
    """`main` is the default channel, `pager`, `web` and `log` are none. What is critical mutes nothing."""
    off = npb.Inhibition(id="critical", enabled=False)
    world.stub.UpdateInhibition(pb.UpdateInhibitionRequest(inhibition=off))
    make_channel(world, "main", default=True)
    for name in ("pager", "web", "log"):
        make_channel(world, name)


def route(
    world: World, name: str, *to: str, of: Sequence[npb.Matcher] = (), position: int = 0, continues: bool = False
) -> npb.Route:
    sent = npb.Route(name=name, channels=to, matchers=of, position=position, continues=continues)
    return world.stub.CreateRoute(pb.CreateRouteRequest(route=sent)).route


def names(world: World) -> list[str]:
    found = world.stub.ListRoutes(pb.ListRoutesRequest()).routes
    assert [one.position for one in found] == list(range(1, len(found) + 1))
    return [one.name for one in found]


def told_to(world: World, expected: Mapping[str, Sequence[str]]) -> None:
    """Waits until exactly these channels were told of notifications."""
    pairs = sorted((note, channel) for note, channels in expected.items() for channel in channels)
    world.rules.reports.wait(
        lambda reports: (
            sorted({(one.delivery.notification_id, one.delivery.channel) for one in reports if one.delivery.state == 3})
            == pairs
        )
    )


def test_an_alert_goes_by_the_first_route_that_holds_else_to_the_default_channels(world: World) -> None:
    make_channels(world)
    route(world, "critical", "pager", of=[CRITICAL])
    route(world, "host", "web", "log", of=[OF_HOST])
    world.tell(
        notification("note_1", severity=rule_pb2.SEVERITY_CRITICAL),
        notification("note_2", alert="alert_2", stream="b"),
        notification("note_3", alert="alert_3", stream="c", monitor="mon_web"),
    )
    told_to(world, {"note_1": ["pager"], "note_2": ["web", "log"], "note_3": ["main"]})


def test_what_continues_lets_the_routes_behind_it_count(world: World) -> None:
    make_channels(world)
    route(world, "everything", "log", continues=True)
    route(world, "critical", "pager", of=[CRITICAL])
    route(world, "host", "web", "log", of=[OF_HOST])
    world.tell(
        notification("note_1", severity=rule_pb2.SEVERITY_CRITICAL),
        notification("note_2", alert="alert_2", stream="b"),
        notification("note_3", alert="alert_3", stream="c", monitor="mon_web"),
    )
    told_to(world, {"note_1": ["log", "pager"], "note_2": ["log", "web"], "note_3": ["log"]})


def test_the_channels_that_a_rule_names_count_for_more_than_any_route(world: World) -> None:
    make_channels(world)
    route(world, "everything", "pager")
    world.tell(notification("note_1", channels=("web",)))
    told_to(world, {"note_1": ["web"]})


def test_the_end_goes_to_who_was_told_whatever_was_changed_meanwhile(world: World) -> None:
    make_channels(world)
    made = route(world, "everything", "log", "pager")
    world.tell(notification("note_1"), notification("note_2", alert="alert_2", stream="b"))
    told_to(world, {"note_1": ["log", "pager"], "note_2": ["log", "pager"]})
    other = npb.Route(id=made.id, channels=["web"])
    world.stub.UpdateRoute(pb.UpdateRouteRequest(route=other))
    world.tell(notification("note_3", RESOLVED, sequence=2))
    expected = {"note_1": ["log", "pager"], "note_2": ["log", "pager"], "note_3": ["log", "pager"]}
    told_to(world, expected)
    world.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="everything"))
    world.tell(notification("note_4", ACKNOWLEDGED, alert="alert_2", stream="b", sequence=2))
    told_to(world, {**expected, "note_4": ["log", "pager"]})
    world.tell(notification("note_5", alert="alert_3", stream="c"))
    told_to(world, {**expected, "note_4": ["log", "pager"], "note_5": ["main"]})


def test_the_end_of_what_a_changed_rule_told_goes_to_who_was_told(world: World) -> None:
    make_channels(world)
    world.tell(notification("note_1", channels=("web",)))
    told_to(world, {"note_1": ["web"]})
    world.tell(notification("note_2", RESOLVED, sequence=2, channels=("pager",)))
    told_to(world, {"note_1": ["web"], "note_2": ["web"]})


def test_both_come_together_and_both_go_by_the_route(world: World) -> None:
    make_channels(world)
    route(world, "everything", "log")
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    told_to(world, {"note_1": ["log"], "note_2": ["log"]})


def test_what_gets_worse_is_told_where_it_was_told_and_where_it_goes_now(world: World) -> None:
    make_channels(world)
    route(world, "critical", "pager", of=[CRITICAL])
    world.tell(notification("note_1", severity=rule_pb2.SEVERITY_MEDIUM, repeat=600))
    told_to(world, {"note_1": ["main"]})
    world.tell(notification("note_2", SEVERITY_CHANGED, sequence=2, severity=rule_pb2.SEVERITY_CRITICAL, repeat=600))
    expected = {"note_1": ["main"], "note_2": ["main", "pager"]}
    told_to(world, expected)
    world.clock.advance(601)
    # To both it's told again, and that it's over.
    expected |= {"note_2_1": ["main", "pager"]}
    told_to(world, expected)
    world.tell(notification("note_3", RESOLVED, sequence=3))
    told_to(world, {**expected, "note_3": ["main", "pager"]})


def test_what_is_told_again_goes_where_it_was_told(world: World) -> None:
    make_channels(world)
    route(world, "everything", "log")
    world.tell(notification("note_1", repeat=600))
    told_to(world, {"note_1": ["log"]})
    world.stub.UpdateRoute(pb.UpdateRouteRequest(route=npb.Route(id="everything", channels=["web"])))
    world.clock.advance(601)
    told_to(world, {"note_1": ["log"], "note_1_1": ["log"]})


def test_who_took_care_of_it_isnt_told_again_though_it_got_worse(world: World) -> None:
    make_channels(world)
    route(world, "critical", "pager", of=[CRITICAL])
    world.tell(notification("note_1", severity=rule_pb2.SEVERITY_MEDIUM, repeat=600))
    told_to(world, {"note_1": ["main"]})
    world.tell(notification("note_2", ACKNOWLEDGED, sequence=2))
    told_to(world, {"note_1": ["main"], "note_2": ["main"]})
    worse = notification("note_3", SEVERITY_CHANGED, sequence=3, severity=rule_pb2.SEVERITY_CRITICAL, repeat=600)
    world.tell(worse)
    expected = {"note_1": ["main"], "note_2": ["main"], "note_3": ["main", "pager"]}
    told_to(world, expected)
    world.clock.advance(3601)
    world.tell(notification("note_4", alert="alert_4", stream="d"))
    told_to(world, {**expected, "note_4": ["main"]})


def test_a_channel_that_routes_name_isnt_deleted_and_the_answer_says_which(world: World) -> None:
    make_channels(world)
    route(world, "critical", "pager", "log", of=[CRITICAL])
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="pager"))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "the route 'critical' names the channel 'pager'" in str(refused.value.details())
    world.stub.UpdateRoute(pb.UpdateRouteRequest(route=npb.Route(id="critical", channels=["log"])))
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="pager"))


WRONG: dict[str, tuple[npb.Route, str]] = {
    "no name": (npb.Route(channels=["main"]), "route.name: send a name"),
    "no channel": (npb.Route(name="a"), "route.channels: there are 0; send the names of 1 to 20"),
    "one that isn't there": (
        npb.Route(name="a", channels=["main", "nobody"]), "route.channels[1]: there is no channel 'nobody'",
    ),
    "no place": (npb.Route(name="a", channels=["main"], position=-1), "route.position: -1 is negative"),
    "no matcher": (
        npb.Route(name="a", channels=["main"], matchers=[npb.Matcher(name="x", operator=MATCH, value="(")]),
        "route.matchers[0].value: '(' is no regular expression",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_route_that_cannot_be_is_refused_with_the_fix(world: World, name: str) -> None:
    make_channel(world, "main")
    sent, expected = WRONG[name]
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.CreateRoute(pb.CreateRouteRequest(route=sent))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert expected in str(refused.value.details())


def test_routes_make_room_for_one_another(world: World) -> None:
    make_channel(world, "main")
    for name, position in (("a", 0), ("b", 0), ("first", 1), ("last", 99), ("second", 2)):
        route(world, name, "main", position=position)
    assert names(world) == ["first", "second", "a", "b", "last"]
    moved = world.stub.UpdateRoute(pb.UpdateRouteRequest(route=npb.Route(id="first", position=4))).route
    assert (moved.position, names(world)) == (4, ["second", "a", "b", "first", "last"])
    world.stub.DeleteRoute(pb.DeleteRouteRequest(route_id="a"))
    assert names(world) == ["second", "b", "first", "last"]
    page = world.stub.ListRoutes(pb.ListRoutesRequest(page_size=3))
    rest = world.stub.ListRoutes(pb.ListRoutesRequest(page_size=3, page_token=page.next_page_token))
    assert [one.name for one in rest.routes] == ["last"]


def test_a_route_is_changed_once_by_who_has_seen_it_and_has_a_name_of_its_own(world: World) -> None:
    make_channel(world, "main")
    request = pb.CreateRouteRequest(route=npb.Route(name="a", channels=["main"]), request_id="1")
    made = world.stub.CreateRoute(request).route
    assert world.stub.CreateRoute(request).route == made
    with pytest.raises(grpc.RpcError) as refused:
        route(world, "a", "main")
    assert refused.value.code() is grpc.StatusCode.ALREADY_EXISTS
    changed = npb.Route(id=made.id, name="b", etag=made.etag)
    assert world.stub.UpdateRoute(pb.UpdateRouteRequest(route=changed)).route.name == "b"
    with pytest.raises(grpc.RpcError) as refused:
        world.stub.UpdateRoute(pb.UpdateRouteRequest(route=changed))
    assert refused.value.code() is grpc.StatusCode.ABORTED


def test_a_route_is_its_tenants_alone(world: World) -> None:
    make_channels(world)
    made = route(world, "everything", "log")
    globex = world.stub_of("globex")
    there = npb.Channel(name="there", console=npb.ConsoleChannel(), is_default=True)
    globex.CreateChannel(pb.CreateChannelRequest(channel=there))
    assert not globex.ListRoutes(pb.ListRoutesRequest()).routes
    for strange in (made.id, "everything"):
        with pytest.raises(grpc.RpcError) as refused:
            globex.DeleteRoute(pb.DeleteRouteRequest(route_id=strange))
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as refused:
        globex.CreateRoute(pb.CreateRouteRequest(route=npb.Route(name="a", channels=["log"])))
    assert "there is no channel 'log'" in str(refused.value.details())
    world.tell(notification("note_1"), notification("note_g", tenant="globex"))
    told_to(world, {"note_1": ["log"], "note_g": ["there"]})


def test_who_would_be_told_is_said_before_anybody_is(world: World) -> None:
    make_channels(world)
    route(world, "critical", "pager", of=[CRITICAL], continues=True)
    route(world, "host", "web", of=[OF_HOST])

    def preview(**facts: object) -> tuple[list[str], list[str], list[str], str]:
        answer = world.stub.PreviewRouting(pb.PreviewRoutingRequest(**facts))  # type: ignore[arg-type]
        return [one.name for one in answer.routes], list(answer.channels), list(answer.problems), answer.muted_reason

    assert preview() == ([], ["main"], [], "")
    assert preview(severity=rule_pb2.SEVERITY_CRITICAL) == (["critical"], ["pager"], [], "")
    both = preview(severity=rule_pb2.SEVERITY_CRITICAL, monitor_id="mon_host")
    assert both == (["critical", "host"], ["pager", "web"], [], "")
    _, channels, problems, _ = preview(notify=["web", "gone"])
    assert (channels, [problem[:27] for problem in problems]) == (["web"], ["there is no channel 'gone';"])
    window = npb.TimeWindow(weekdays=["monday:sunday"])
    timing = npb.MuteTiming(name="always", matchers=[OF_HOST], windows=[window])
    made = world.stub.CreateMuteTiming(pb.CreateMuteTimingRequest(mute_timing=timing)).mute_timing
    assert preview(monitor_id="mon_host") == (["host"], ["web"], [], f"muted by the timing 'always' ({made.id})")


MATCHERS = st.builds(
    Matcher, st.sampled_from(["x", "y"]), st.sampled_from(Operator), st.sampled_from(["", "a", "b", "a|b"])
)
ROUTES = st.lists(
    st.builds(
        lambda number, matchers, channels, continues: Route(
            "t", f"r{number}", f"n{number}", number, tuple(matchers), tuple(channels), continues
        ),
        st.integers(0, 9),
        st.lists(MATCHERS, max_size=2),
        st.lists(st.sampled_from("pqr"), min_size=1, max_size=2),
        st.booleans(),
    ),
    max_size=6,
)


def obvious(facts: dict[str, str], routes: list[Route]) -> list[str]:
    """The same, slowly: of the routes that hold, all up to the first that doesn't continue."""
    holding = [route for route in routes if not [one for one in route.matchers if not one.holds(facts)]]
    ends = [number for number, route in enumerate(holding) if not route.continues]
    counting = holding[: ends[0] + 1] if ends else holding
    found: list[str] = []
    for one in counting:
        for channel in one.channels:
            if channel not in found:
                found.append(channel)
    return found


@given(ROUTES, st.dictionaries(st.sampled_from(["x", "y"]), st.sampled_from(["", "a", "b"])))
def test_where_an_alert_goes_is_what_is_obvious(routes: list[Route], facts: dict[str, str]) -> None:
    assert channels_of(routes_of(facts, routes)) == obvious(facts, routes)


@given(ROUTES, st.integers(0, 9))
def test_a_route_takes_its_place_and_no_other_is_lost_or_overtaken(others: list[Route], place: int) -> None:
    new = Route("t", "new", "new", place, (), ("p",))
    listed = arranged(others, new)
    assert [one.position for one in listed] == list(range(1, len(others) + 2))
    assert [one.id for one in listed if one.id != "new"] == [one.id for one in others]
    (got,) = [one.position for one in listed if one.id == "new"]
    assert got == (place if 1 <= place <= len(others) else len(others) + 1)
