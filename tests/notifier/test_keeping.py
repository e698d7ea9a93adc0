"""How long deliveries are kept: what ended long ago goes with its attempts, and nothing that is still needed does."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.rows import insert_rows
from monitors.mesh.times import DAY
from monitors.notifier.keeping import forget_ended
from monitors.notifier.model.delivery import UNFINISHED, State
from monitors.notifier.model.message import Kind
from monitors.notifier.store import past
from monitors.notifier.store.past import Horizon
from monitors.notifier.store.tables import attempts, deliveries, inhibiting
from tests.harness import LoopThread
from tests.rules.test_plans import plan_of
from tests.servers.backends import database_url
from tests.tenants import of_all

TIME = 100 * DAY
DEAD_FOR_LONGER = 3
HORIZON = Horizon(TIME, TIME - DEAD_FOR_LONGER * DAY)
OPEN = {"alert_0", "alert_1"}
"""The alerts that RuleService says aren't over, of `acme` alone."""
COLUMNS = (
    "tenant_id", "id", "notification_id", "alert_id", "channel_id", "channel_name", "kind", "severity", "stream_key",
    "sequence", "payload", "state", "detail", "next_at", "report_due", "created_at", "updated_at", "attempt_count",
    "last_outcome", "lease_token", "leased_at", "lease_until", "version",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """A delivery; days are before (if negative) and after what is still kept."""

    alert: str
    kind: Kind
    state: State
    made: int
    changed: int
    unreported: bool

    @property
    def is_past(self) -> bool:
        """Whether it ended long ago, and RuleService knows of it."""
        ended = self.changed < (-DEAD_FOR_LONGER if self.state is State.DEAD else 0)
        return ended and self.state not in UNFINISHED and not self.unreported

    @property
    def is_alone(self) -> bool:
        """Whether nothing else is to be looked at."""
        return not self.alert or self.kind is Kind.STILL_FIRING


Filled = dict[tuple[str, int], Ended]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("keeping")
    url = database_url(folder / "notifier.db", "notifier")
    opened = Database(url, name="keeping", migrations="monitors.notifier.migrations")
    opened.prepare()
    yield opened
    opened.close()


def fill(session: Session, found: Filled) -> None:
    """Leaves nothing in the tables but these, by tenant and number, each with two attempts."""
    for table in (attempts, deliveries, inhibiting):
        session.execute(delete(table))
    rows = [
        (
            tenant, f"dlv_{number:02}", f"note_{number}", one.alert, "chan_a", "a", int(one.kind), 1, "s", number, b"",
            int(one.state), "", 1, one.unreported, TIME + one.made * DAY, TIME + one.changed * DAY, 2, 1, "", 0, 0, 1,
        )
        for (tenant, number), one in found.items()
    ]  # fmt: skip
    insert_rows(session, deliveries, COLUMNS, rows)
    tried = [(tenant, f"dlv_{number:02}", count, 1, 1, 1, 200, "") for tenant, number in found for count in (1, 2)]
    insert_rows(session, attempts, tuple(column.name for column in attempts.columns), tried)
    inhibits = sorted({(tenant, one.alert, "key", False) for (tenant, _), one in found.items() if one.alert})
    insert_rows(session, inhibiting, tuple(column.name for column in inhibiting.columns), inhibits)


def left(session: Session) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Tenant and id of the deliveries that are left, and of those that have attempts."""
    rows = session.execute(select(deliveries.c.tenant_id, deliveries.c.id))
    tried = session.execute(select(attempts.c.tenant_id, attempts.c.delivery_id))
    return set(map(tuple, rows)), set(map(tuple, tried))


def expected(found: Filled) -> set[tuple[str, str]]:
    """What is to be left: by itself, or as it tells of an alert that goes on or of which something is younger."""
    kept = {
        (tenant, one.alert)
        for (tenant, _), one in found.items()
        if not one.is_past or (tenant == "acme" and one.alert in OPEN)
    }
    return {
        (tenant, f"dlv_{number:02}")
        for (tenant, number), one in found.items()
        if not one.is_past or (not one.is_alone and (tenant, one.alert) in kept)
    }


async def find_unfinished(tenant: str, alert_ids: Sequence[str]) -> set[str]:
    """As RuleService says it."""
    return OPEN.intersection(alert_ids) if tenant == "acme" else set()


@st.composite
def endings(draw: st.DrawFn) -> Ended:
    alert = draw(st.sampled_from(["", *(f"alert_{number}" for number in range(4))]))
    about = (Kind.FIRING, Kind.RESOLVED, Kind.ACKNOWLEDGED, Kind.SEVERITY_CHANGED, Kind.STILL_FIRING, Kind.ESCALATED)
    kind = draw(st.sampled_from(about if alert else (Kind.TEST, Kind.NOTICE)))
    # Most of it is past, so that alerts go too, of each of whose deliveries that is wanted.
    state = draw(st.sampled_from([State.DELIVERED] * 6 + list(State)))
    made = draw(st.integers(-9, -4) | st.integers(-9, 2))
    changed = draw(st.just(made) | st.integers(made, 3))
    return Ended(alert, kind, state, made, changed, draw(st.sampled_from([False] * 7 + [True])))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.dictionaries(st.tuples(st.sampled_from(["acme", "globex"]), st.integers(0, 99)), endings(), max_size=14),
    most=st.integers(1, 4),
)
def test_what_ended_long_ago_goes_and_nothing_open_unfinished_or_younger_ever_does(
    loop_thread: LoopThread, database: Database, found: Filled, most: int
) -> None:
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    deleted: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "MOST", most)
        loop_thread.run(forget_ended(database, HORIZON, find_unfinished, [deleted.append], rest=0))
    stays = expected(found)
    assert loop_thread.run(database.read(of_all(left))) == (stays, stays)
    assert sum(deleted) == len(found) - len(stays)


def test_what_changed_since_it_was_looked_for_stays(loop_thread: LoopThread, database: Database) -> None:
    old = Ended("alert_7", Kind.FIRING, State.DELIVERED, -9, -9, False)
    again = Ended("alert_8", Kind.RESOLVED, State.PENDING, -9, 1, False)
    said = Ended("alert_8", Kind.FIRING, State.DELIVERED, -9, -9, False)
    repeat = Ended("alert_9", Kind.STILL_FIRING, State.IN_FLIGHT, -9, -9, False)
    found = {("acme", 1): old, ("acme", 2): again, ("acme", 3): said, ("acme", 4): repeat, ("globex", 5): old}
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    work = lambda session: past.forget(session, "acme", HORIZON, ["dlv_04"], {"alert_7", "alert_8"})  # noqa: E731
    assert loop_thread.run(database.write(of_all(work))) == 1
    kept, _ = loop_thread.run(database.read(of_all(left)))
    assert kept == {("acme", "dlv_02"), ("acme", "dlv_03"), ("acme", "dlv_04"), ("globex", "dlv_05")}
    # What is gone inhibits nobody any more, should its end not have been noted.
    pairs = select(inhibiting.c.tenant_id, inhibiting.c.alert_id)
    inhibits = loop_thread.run(database.read(of_all(lambda session: set(map(tuple, session.execute(pairs))))))
    assert inhibits == {("acme", "alert_8"), ("acme", "alert_9"), ("globex", "alert_7")}


def test_several_notifiers_forget_at_the_same_time(loop_thread: LoopThread, database: Database) -> None:
    kinds = (Kind.FIRING, Kind.STILL_FIRING, Kind.RESOLVED)
    endings_ = [
        Ended(f"alert_{number // 3 + 7}", kinds[number % 3], State.DELIVERED, -9, -9, False) for number in range(300)
    ]
    found = {("acme", number): one for number, one in enumerate(endings_)}
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    deleted: list[int] = []

    async def both() -> None:
        await asyncio.gather(
            *(forget_ended(database, HORIZON, find_unfinished, [deleted.append], rest=0) for _ in range(2))
        )

    loop_thread.run(both())
    assert loop_thread.run(database.read(of_all(left))) == (set(), set())
    assert sum(deleted) == 300


def test_what_is_past_is_found_by_an_index(loop_thread: LoopThread, tmp_path: Path) -> None:
    opened = Database(sqlite_url(tmp_path / "notifier.db"), name="plans", migrations="monitors.notifier.migrations")
    opened.upgrade()
    names = [f"dlv_{number}" for number in range(100)]

    def work(session: Session) -> None:
        past.tenants_with_deliveries(session)
        past.past_deliveries(session, "acme", HORIZON)
        past.forget(session, "acme", HORIZON, names, names)

    plan = loop_thread.run(opened.write(of_all(lambda session: plan_of(session, work))))
    assert [line.partition("INDEX ")[2] for line in plan] == [
        "ix_deliveries_alert (tenant_id>?)",
        "ix_deliveries_newest (tenant_id=? AND created_at>? AND created_at<?)",
        "ix_deliveries_alert (tenant_id=? AND alert_id=?)",
        "sqlite_autoindex_notifier_deliveries_1 (tenant_id=? AND id=?)",
    ]
    opened.close()


def test_what_rule_service_says_nothing_of_stays(loop_thread: LoopThread, database: Database) -> None:
    async def away(tenant: str, alert_ids: Sequence[str]) -> set[str]:
        raise ConnectionError(tenant)

    old = Ended("alert_7", Kind.FIRING, State.DELIVERED, -9, -9, False)
    loop_thread.run(database.write(of_all(lambda session: fill(session, {("acme", 1): old}))))
    with pytest.raises(ConnectionError):
        loop_thread.run(forget_ended(database, HORIZON, away, rest=0))
    assert loop_thread.run(database.read(of_all(left)))[0] == {("acme", "dlv_01")}
