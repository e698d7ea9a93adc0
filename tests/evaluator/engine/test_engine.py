"""The engine as it runs: a real RuleService server, a real thread, real time."""

import asyncio
import random
import time
from collections.abc import Coroutine, Iterator, Mapping
from typing import Any

import pytest

from monitors.evaluator.engine import Engine
from monitors.evaluator.model.evaluation import Capacity
from monitors.evaluator.model.instances import Limits
from monitors.evaluator.model.reading import Tags
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import RuleKey
from monitors.evaluator.model.state import Checkpoint
from monitors.evaluator.parts import joined, named_by
from monitors.mesh.times import MINUTE, SECOND, now_nanos, to_duration
from monitors.v1 import alert_pb2, condition_pb2, mesh_pb2, rule_pb2
from tests.evaluator.engine.contract import ContractRules, Stage, stage, unavailable
from tests.harness import LoopThread

FIRING, RESOLVED = alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.ALERT_EVENT_KIND_RESOLVED
CPU = Series(0, SeriesKey("t", "m", "host", "cpu", (("core", "0"),)), FieldType.FLOAT)
LOAD = Series(1, SeriesKey("t", "m", "host", "load"), FieldType.FLOAT)


def rule(low: float = 10, *, rule_id: str = "rule_1", field: str = "cpu", for_: int = 0) -> mesh_pb2.WatchedRule:
    """`field > low` on monitor `m`."""
    comparison = condition_pb2.Comparison(
        left=condition_pb2.Expression(input=condition_pb2.Input(field=field)),
        operator=condition_pb2.COMPARISON_OPERATOR_GREATER,
        expression=condition_pb2.Expression(number=low),
    )
    made = rule_pb2.Rule(id=rule_id, monitor_id="m", condition=condition_pb2.Condition(comparison=comparison))
    made.for_duration.CopyFrom(to_duration(for_))
    made.interval.CopyFrom(to_duration(SECOND))
    made.enabled = True
    return mesh_pb2.WatchedRule(tenant_id="t", rule=made)


class Play:
    """A stage, played on from synchronous tests."""

    def __init__(self, thread: LoopThread, stage: Stage) -> None:
        self.thread, self.stage = thread, stage

    @property
    def rules(self) -> ContractRules:
        return self.stage.rules

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return self.thread.run(coroutine, timeout=30)

    def told(self) -> list[tuple[int, float, str]]:
        """What was recorded: kind, value, reason."""
        return [(one.kind, one.value, one.reason) for one in self.rules.recorded]


@pytest.fixture
def play(loop_thread: LoopThread) -> Iterator[Play]:
    with loop_thread.opened(stage()) as opened:
        opened.history.known.append(CPU)
        yield Play(loop_thread, opened)


async def write(play: Play, engine: Engine, *values: float, series: int = 0) -> None:
    """Stores points of now and pushes them, one after the other."""
    for value in values:
        engine.push(play.stage.history.store([(series, now_nanos(), value)]))


async def recorded(play: Play, count: int) -> None:
    await play.rules.wait_for(lambda: len(play.rules.recorded) >= count)


def test_a_pushed_point_is_recorded_as_firing_and_resolved_with_tags_value_and_time(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 1)
            await write(play, engine, 5)
            await recorded(play, 2)

    play.run(scenario())
    firing, resolved = play.rules.recorded
    point = play.stage.history.batches[0]
    assert (firing.kind, firing.value, firing.time_nanos) == (FIRING, 20, point.times[0])
    assert (firing.tenant_id, firing.monitor_id, dict(firing.group)) == ("t", "m", {"core": "0"})
    assert (resolved.kind, resolved.value, resolved.reason) == (RESOLVED, 5, "condition")
    assert firing.episode == resolved.episode == firing.time_nanos
    assert firing.lease.epoch == 1
    assert firing.rule_revision == 1


def test_a_rule_is_evaluated_on_what_was_stored_before_it_was_made(play: Play) -> None:
    async def scenario() -> None:
        play.stage.history.store([(0, now_nanos() - MINUTE, 30)])
        async with play.stage.engine():
            await play.rules.put(rule())
            await recorded(play, 1)

    play.run(scenario())
    assert play.told() == [(FIRING, 30, "")]


def test_a_new_rule_reads_the_history_of_its_own_series_only(play: Play) -> None:
    async def scenario() -> None:
        play.stage.history.known.append(LOAD)
        play.stage.history.store([(0, now_nanos() - MINUTE, 30), (1, now_nanos() - MINUTE, 30)])
        async with play.stage.engine():
            await play.rules.put(rule(field="load"))
            await recorded(play, 1)

    play.run(scenario())
    assert play.stage.history.read == [[1]]


def test_a_series_that_comes_up_later_is_evaluated_from_its_first_point(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule(field="load"))
        async with play.stage.engine() as engine:
            play.stage.history.known.append(LOAD)
            engine.add_series([LOAD])
            await write(play, engine, 11, series=1)
            await recorded(play, 1)

    play.run(scenario())
    assert play.told() == [(FIRING, 11, "")]


def test_an_edit_resolves_what_it_no_longer_covers_and_a_deletion_says_nothing(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        await play.rules.put(rule(rule_id="rule_2"))
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 2)
            await play.rules.delete("rule_2")
            await play.rules.put(rule(field="load"))
            await recorded(play, 3)
            assert engine.status().rule_count == 1

    play.run(scenario())
    assert play.told()[2] == (RESOLVED, 0, "updated")
    assert play.rules.recorded[2].rule_id == "rule_1"


def test_a_rule_that_cannot_be_evaluated_is_reported_and_disturbs_no_other(play: Play) -> None:
    async def scenario() -> Mapping[RuleKey, str]:
        odd = rule(rule_id="rule_2")
        odd.rule.condition.CopyFrom(condition_pb2.Condition(junction=condition_pb2.Junction()))
        await play.rules.put(odd)
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 1)
            return engine.status().rule_problems

    assert ["are joined" in problem for key, problem in play.run(scenario()).items() if key.rule_id == "rule_2"] == [
        True
    ]


def test_an_edit_to_what_cannot_be_evaluated_leaves_no_alert_open(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 1)
            odd = rule()
            odd.rule.condition.CopyFrom(condition_pb2.Condition(negation=condition_pb2.Negation()))
            await play.rules.put(odd)
            await recorded(play, 2)

    play.run(scenario())
    assert play.told()[1] == (RESOLVED, 0, "updated")


def test_transitions_are_kept_and_sent_in_order_until_they_are_recorded(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            play.rules.refusals.extend([unavailable() for _ in range(7)])
            await write(play, engine, 20, 5, 30, 6)
            await recorded(play, 4)
        assert engine.status().unrecorded_transitions == 0

    play.run(scenario())
    assert not play.rules.refusals
    assert play.told() == [(FIRING, 20, ""), (RESOLVED, 5, "condition"), (FIRING, 30, ""), (RESOLVED, 6, "condition")]


def test_a_lost_lease_is_taken_again_and_nothing_is_lost(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            play.rules.epoch = 2
            await write(play, engine, 20)
            await recorded(play, 1)

    play.run(scenario())
    assert play.rules.recorded[0].lease.epoch == 2


def test_a_restart_of_rule_service_is_survived_and_its_changes_are_caught_up_with(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule(rule_id="rule_1"))
        await play.rules.put(rule(rule_id="rule_2"))
        async with play.stage.engine() as engine:
            await play.stage.close()
            await write(play, engine, 20)
            await play.rules.delete("rule_2")
            await play.rules.put(rule(rule_id="rule_3"))
            await play.stage.open()
            await play.rules.wait_for(lambda: {one.rule_id for one in play.rules.recorded} >= {"rule_1", "rule_3"})
            assert engine.status().rule_count == 2

    play.run(scenario())


def test_a_watch_that_missed_too_much_starts_with_a_snapshot(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule(rule_id="rule_1"))
        await play.rules.put(rule(rule_id="rule_2"))
        async with play.stage.engine() as engine:
            await play.stage.close()
            await play.rules.delete("rule_2")
            await play.rules.put(rule(rule_id="rule_3"))
            play.rules.log.clear()
            play.rules.oldest_revision = play.rules.revision
            await play.stage.open()
            await write(play, engine, 20)
            await play.rules.wait_for(lambda: "rule_3" in {one.rule_id for one in play.rules.recorded})
            assert engine.status().rule_count == 2

    play.run(scenario())


def test_a_crash_loses_and_doubles_nothing(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.running(asyncio.Event()) as engine:
            await engine.ready.wait()
            await write(play, engine, 20)
            await recorded(play, 1)
        # Stored while nobody evaluated: it ends the episode, and begins another.
        play.stage.history.store([(0, now_nanos(), 5)])
        play.stage.history.store([(0, now_nanos(), 40)])
        async with play.stage.running(asyncio.Event()) as engine:
            await recorded(play, 3)
        async with play.stage.engine() as engine:
            await write(play, engine, 6)
            await recorded(play, 4)

    play.run(scenario())
    assert [value for _, value, _ in play.told()] == [20, 5, 40, 6]


def test_a_state_that_was_saved_is_taken_up_without_replaying_everything(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule(for_=3600 * SECOND))
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
        async with play.stage.engine() as engine:
            assert not play.rules.recorded
            await play.rules.put(rule())
            await recorded(play, 1)

    play.run(scenario())
    # The pending instance went on: its episode began with the first engine's point, moved by the outage alone.
    first = int(play.stage.history.batches[0].times[0])
    assert first < play.rules.recorded[0].episode < first + 20 * SECOND
    assert play.rules.recorded[0].episode != play.rules.recorded[0].time_nanos


def test_a_damaged_state_is_told_and_the_open_alerts_suffice(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 1)
        play.rules.states[0].state = b"not a state"
        async with play.stage.engine() as engine:
            await write(play, engine, 5)
            await recorded(play, 2)

    play.run(scenario())
    assert [kind for kind, _, _ in play.told()] == [FIRING, RESOLVED]
    assert play.rules.recorded[0].episode == play.rules.recorded[1].episode


def test_a_state_that_is_larger_than_a_message_is_saved_and_loaded_in_parts(play: Play) -> None:
    # Random names, since a state is compressed.
    names = [random.Random(number).randbytes(10_000).hex() for number in range(250)]
    for number, name in enumerate(names, start=1):
        key = SeriesKey("t", "m", "host", "cpu", (("core", name),))
        play.stage.history.known.append(Series(number, key, FieldType.FLOAT))

    def since() -> dict[Tags, int]:
        data = joined({shard: state.state for shard, state in play.rules.states.items()})[0]
        return {key.tags: one.active_at for key, one in Checkpoint.from_bytes(data).instances.items()}

    async def scenario() -> dict[Tags, int]:
        await play.rules.put(rule(for_=10 * MINUTE))
        began = now_nanos() - MINUTE
        async with play.stage.engine() as engine:
            engine.push(play.stage.history.store([(number + 1, began, 20) for number in range(len(names))]))
        assert len(named_by(play.rules.states[0].state)) > 1
        before = since()
        assert set(before.values()) == {began}
        restarted = now_nanos()
        async with play.stage.engine():
            await asyncio.sleep(0)
        # What was saved goes on, less the time of the outage; what wasn't would begin now.
        assert max(since().values()) < restarted
        return before

    before = play.run(scenario())
    assert before.keys() == since().keys()
    assert len(before) == len(names)


def test_an_open_alert_of_another_episode_is_adopted_and_resolved_under_its_number(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            group = {"core": "0"}
            open_ = mesh_pb2.OpenEpisode(tenant_id="t", rule_id="rule_1", monitor_id="m", group=group, episode=7)
            play.rules.open["rule_1", "m", str(sorted(group.items()))] = open_
            await write(play, engine, 20, 5)
            await recorded(play, 1)

    play.run(scenario())
    assert [(one.kind, one.episode) for one in play.rules.recorded] == [(RESOLVED, 7)]


def test_what_is_due_with_time_alone_is_told_without_a_point(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule(for_=SECOND))
        async with play.stage.engine() as engine:
            await write(play, engine, 20)
            await recorded(play, 1)

    play.run(scenario())
    (firing,) = play.rules.recorded
    assert firing.time_nanos == firing.episode + SECOND
    assert 0 <= firing.delay_nanos < SECOND


def test_a_point_from_the_future_waits_for_its_time(play: Play) -> None:
    async def scenario() -> None:
        await play.rules.put(rule())
        async with play.stage.engine() as engine:
            engine.push(play.stage.history.store([(0, now_nanos() + SECOND, 20)]))
            await recorded(play, 1)
            assert now_nanos() >= play.rules.recorded[0].time_nanos

    play.run(scenario())


def test_recording_follows_a_push_within_milliseconds(play: Play) -> None:
    async def scenario() -> list[float]:
        await play.rules.put(rule())
        delays = []
        async with play.stage.engine() as engine:
            for number in range(40):
                begun = time.perf_counter()
                await write(play, engine, 20 if number % 2 == 0 else 5)
                await recorded(play, number + 1)
                delays.append(time.perf_counter() - begun)
        return delays

    # Far above the few milliseconds that it takes, far below the second of the next slot.
    assert sorted(play.run(scenario()))[20] < 0.2


def test_a_fault_in_the_thread_ends_the_engine_instead_of_silence(play: Play) -> None:
    async def scenario() -> None:
        async with play.stage.running(asyncio.Event()) as engine:
            await engine.ready.wait()
            engine.add_series([Series(99, CPU.key, FieldType.FLOAT)])
            assert play.stage.running_engine
            await asyncio.wait_for(play.stage.running_engine, 10)

    with pytest.raises(ValueError, match="series 99 came before series 1"):
        play.run(scenario())


def test_what_a_rule_or_the_memory_has_no_room_for_is_told_by_the_status(play: Play) -> None:
    async def scenario() -> list[str]:
        for index in range(1, 4):
            tags = (("core", str(index)),)
            play.stage.history.known.append(Series(index, SeriesKey("t", "m", "host", "cpu", tags), FieldType.FLOAT))
        await play.rules.put(rule())
        async with play.stage.engine(Capacity(Limits(per_rule=2), window_points=8)) as engine:
            for _ in range(20):
                await write(play, engine, 5)
            await write(play, engine, 20)
            await recorded(play, 1)
            status = engine.status()
            return [*status.problems, *status.rule_problems.values()]

    problems = play.run(scenario())
    assert any("a rule's limit of 2 instances" in problem for problem in problems)
    assert any("1 series look back less far" in problem for problem in problems)
