"""However much waits, what is sent next is found by an index, and what is given up is given up in one statement."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import Sealer
from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Arrival, Decision, Outcome, OutcomeKind, State
from monitors.notifier.model.message import Kind
from monitors.notifier.model.targets import ConsoleTarget, EmailTarget
from monitors.notifier.model.turns import Lane
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Finished
from monitors.notifier.store.lanes import next_due, waiting_lanes
from monitors.notifier.store.log import Query, list_page, mark_reported, unreported
from monitors.notifier.store.queue import Queue
from tests.harness import LoopThread
from tests.notifier.test_queue import room
from tests.tenants import of_all

NOW = 1_800_000_000 * SECOND
CHANNEL = Channel("acme", "chan_a", "a", ConsoleTarget(), is_default=True)


@pytest.fixture
def queue(loop_thread: LoopThread, tmp_path: Path) -> Iterator[tuple[Database, Queue]]:
    """A queue with six deliveries that wait, each in a stream of its own."""
    database = Database(sqlite_url(tmp_path / "n.db"), name="n", migrations="monitors.notifier.migrations")
    database.upgrade()
    channels = ChannelStore(Sealer(key_ring((), tmp_path / "key")))
    queue = Queue(channels)
    arrivals = [Arrival("acme", f"n{n}", "al", Kind.FIRING, 1 + n % 3, (), f"s{n}", n, b"") for n in range(6)]

    @of_all
    def fill(session: Session) -> None:
        channels.insert(session, CHANNEL)
        channels.insert(session, Channel("acme", "chan_m", "m", EmailTarget(("ann@example.org",))))
        queue.take_in(session, arrivals, NOW)

    loop_thread.run(database.write(fill))
    yield database, queue
    database.close()


def asked(session: Session, work: Callable[[Session], object]) -> list[tuple[str, Any]]:
    """The statements that `work` runs."""
    found: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        found.append((statement, parameters))

    session.connection()  # begins the transaction, which isn't counted
    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", note)
    work(session)
    session.flush()
    event.remove(bind, "before_cursor_execute", note)
    return found


def test_what_is_next_is_read_in_order_and_not_sorted(loop_thread: LoopThread, queue: tuple[Database, Queue]) -> None:
    database, tested = queue

    @of_all
    def work(session: Session) -> list[str]:
        def claim(session: Session) -> None:
            tested.claim(session, NOW, "token", room(capacity=2))

        connection = session.connection()
        return [
            row[3]
            for statement, parameters in asked(session, claim)
            if "stream_key" in statement.partition("WHERE")[2]
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    plan = loop_thread.run(database.write(work))
    assert any("(state=? AND severity=? AND tenant_id=? AND channel_id=? AND next_at<?)" in line for line in plan)
    assert any("(tenant_id=? AND stream_key=? AND state=? AND sequence<?)" in line for line in plan)
    assert not [line for line in plan if "TEMP B-TREE" in line or line.startswith("SCAN notifier_deliveries")], plan


@pytest.mark.parametrize(
    "work",
    [
        lambda queue, session: queue.reclaim(session, NOW),
        lambda queue, session: queue.suppress_waiting(session, "acme", "chan_a", "it's gone", NOW),
    ],
)
def test_what_waits_or_is_sent_is_looked_through_by_its_lane(
    loop_thread: LoopThread, queue: tuple[Database, Queue], work: Callable[[Queue, Session], object]
) -> None:
    database, tested = queue

    @of_all
    def plans(session: Session) -> list[str]:
        connection = session.connection()
        return [
            row[3]
            for statement, parameters in asked(session, lambda session: work(tested, session))
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            if "notifier_deliveries" in row[3]
        ]

    plan = loop_thread.run(database.write(plans))
    assert plan
    assert all("INDEX ix_deliveries_lanes (state=?" in line for line in plan), plan


def test_the_lanes_are_found_by_steps_through_an_index(loop_thread: LoopThread, queue: tuple[Database, Queue]) -> None:
    database, _ = queue

    def read_lanes(session: Session) -> object:
        return waiting_lanes(session, lambda _: CHANNEL)

    def read_next(session: Session) -> object:
        return next_due(session, [Lane("acme", "chan_a", 2, 0), Lane("acme", "chan_b", 2, 0)], NOW)

    @of_all
    def work(session: Session) -> list[str]:
        connection = session.connection()
        return [
            row[3]
            for find in (read_lanes, read_next)
            for statement, parameters in asked(session, find)
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    searched = [line for line in loop_thread.run(database.write(work)) if "ix_deliveries" in line]
    assert all(line.startswith("SEARCH ") and "COVERING INDEX ix_deliveries_lanes" in line for line in searched)
    assert searched


def test_what_waits_for_a_channel_is_given_up_in_one_statement(
    loop_thread: LoopThread, queue: tuple[Database, Queue]
) -> None:
    database, tested = queue

    @of_all
    def give_up(session: Session) -> int:
        statements = asked(
            session, lambda session: tested.suppress_waiting(session, "acme", "chan_a", "it's gone", NOW + 1)
        )
        return len(statements)

    assert loop_thread.run(database.write(give_up)) == 1
    listed = loop_thread.run(database.read(of_all(lambda session: list_page(session, "acme", Query(), None, 10))))
    assert [(one.state, one.detail, one.updated_at, one.version) for one in listed] == [
        (State.SUPPRESSED, "it's gone", NOW + 1, 2)
    ] * 6
    assert len(loop_thread.run(database.read(lambda session: unreported(session, 10)))) == 6


def test_what_was_reported_is_marked_together(loop_thread: LoopThread, queue: tuple[Database, Queue]) -> None:
    database, tested = queue

    @of_all
    def mark(session: Session) -> list[str]:
        arrivals = [Arrival("acme", f"m{n}", "al", Kind.FIRING, 1, (), f"t{n}", n, b"") for n in range(20)]
        tested.take_in(session, arrivals, NOW)
        tested.suppress_waiting(session, "acme", "chan_a", "it's gone", NOW)
        known = unreported(session, 20)
        return [statement for statement, _ in asked(session, lambda session: mark_reported(session, known))]

    (statement,) = loop_thread.run(database.write(mark))
    assert statement.count("?") == 1 + 2 + 20
    assert len(loop_thread.run(database.read(lambda session: unreported(session, 30)))) == 6


def test_nothing_is_asked_about_each_alert_where_none_inhibits_others(
    loop_thread: LoopThread, queue: tuple[Database, Queue]
) -> None:
    database, tested = queue

    @of_all
    def take_in(session: Session, severity: int) -> list[Any]:
        arrivals = [
            Arrival("acme", f"m{n}", f"b{n}", Kind.FIRING, severity, (), f"t{n}", n, b"", monitor_id=f"mon{n}")
            for n in (severity * 10, severity * 10 + 1)
        ]
        found = asked(session, lambda session: tested.take_in(session, arrivals, NOW))
        return [values for statement, values in found if "FROM notifier_inhibiting" in statement]

    high, _, medium = (loop_thread.run(database.write(partial(take_in, severity=severity))) for severity in (3, 4, 2))
    assert [values[0] for values in high] == ["acme"]
    # By now something critical fires.
    assert len(medium) == 2


def test_channels_and_their_breakers_are_looked_up_by_their_names(
    loop_thread: LoopThread, queue: tuple[Database, Queue]
) -> None:
    database, tested = queue
    failed = Outcome(OutcomeKind.RETRYABLE, "it answered 500", 500)

    @of_all
    def work(session: Session) -> list[str]:
        def step(session: Session) -> None:
            claims = tested.claim(session, NOW, "token", room(capacity=6))
            again = Decision(State.PENDING, NOW + SECOND)
            tested.finish(session, [Finished(claim, failed, again, NOW, NOW) for claim in claims])

        connection = session.connection()
        return [
            row[3]
            for statement, parameters in asked(session, step)
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    steps = loop_thread.run(database.write(work))
    assert any(step.startswith("SEARCH notifier_channels USING") for step in steps)
    assert any(step.startswith("SEARCH notifier_breakers USING") for step in steps)
    assert not [step for step in steps if step.startswith("SCAN notifier_")]


def test_a_groups_members_and_the_rest_of_their_streams_are_found_by_an_index(
    loop_thread: LoopThread, queue: tuple[Database, Queue]
) -> None:
    database, tested = queue
    later = NOW + MINUTE

    @of_all
    def work(session: Session) -> list[str]:
        arrivals = [
            Arrival("acme", f"m{n}", "al", Kind.FIRING, 2, ("m",), f"m{n}", n, b"", rule_id="r") for n in (8, 9)
        ]
        tested.take_in(session, arrivals, NOW)

        def claim(session: Session) -> None:
            assert tested.claim(session, later, "token", room(later))

        connection = session.connection()
        return [
            row[3]
            for statement, parameters in asked(session, claim)
            if statement.startswith("SELECT")
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]

    plan = loop_thread.run(database.write(work))
    assert any("ix_deliveries_group (tenant_id=? AND group_key=? AND state=?)" in line for line in plan), plan
    assert any("ix_deliveries_stream (tenant_id=? AND stream_key=? AND state=?)" in line for line in plan), plan
    assert not [line for line in plan if line.startswith("SCAN notifier_deliveries")], plan
