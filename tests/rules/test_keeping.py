"""How long alerts are kept: what is over for long goes with all that belongs to it, and nothing else ever does."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from monitors.mesh.database import Database
from monitors.mesh.times import DAY, SECOND, now_nanos
from monitors.rules.keeping import forget_over
from monitors.rules.model.alert import Alert, Event, EventKind
from monitors.rules.model.rule import Severity
from monitors.rules.store import outbox, past
from monitors.rules.store.alerts import event_rows, insert_alerts, insert_events, new_rows
from monitors.rules.store.tables import alert_events, alerts, deliveries, manual_resolutions
from monitors.rules.store.tables import outbox as waiting
from monitors.v1 import rule_service_pb2 as pb
from tests.harness import LoopThread
from tests.rules.client import RESOLVED, Client
from tests.servers.backends import database_url
from tests.tenants import of_all

TIME = 100 * DAY
TABLES = (deliveries, manual_resolutions, alert_events, waiting, alerts)


@dataclass(frozen=True)
class Past:
    """An alert and what there is about it. Times are days before (if negative) and after what is still kept."""

    fired: int
    ended: int | None
    recorded: int
    told: int | None = None
    """The state of its message in the outbox."""
    delivered: int | None = None
    """The state of its delivery."""
    by_hand: bool = False

    @property
    def goes(self) -> bool:
        """Whether it's over for longer than it's kept, and nothing is to come of it any more."""
        is_over = self.ended is not None and self.ended < 0 and self.recorded < 0
        return is_over and self.told != outbox.WAITING and self.delivered not in (1, 2) and not self.by_hand


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder: Path = tmp_path_factory.mktemp("keeping")
    opened = Database(database_url(folder / "rules.db"), name="keeping", migrations="monitors.rules.migrations")
    opened.prepare()
    yield opened
    opened.close()


def fill(session: Session, found: dict[tuple[str, int], Past]) -> None:
    """Leaves nothing in the tables but these, by tenant and number."""
    for table in TABLES:
        session.execute(table.delete())
    made = {key: _alert(*key, one) for key, one in found.items()}
    insert_alerts(session, new_rows(made.values()))
    happened = [
        Event(alert.tenant, alert.id, kind, alert.fire_time, alert.record_time)
        for alert in made.values()
        for kind in (EventKind.FIRING, EventKind.ACKNOWLEDGED)
    ]
    insert_events(session, event_rows(happened), 1)
    for sequence, (key, one) in enumerate(found.items(), 1):
        alert, note = made[key], f"note_{sequence}"
        if one.told is not None:
            row = outbox.Waiting(alert.tenant, note, sequence, alert.id, 1, alert.stream_key, 1, b"", 1, one.told)
            outbox.insert_waiting(session, [row])
        of_alert = {"tenant_id": alert.tenant, "alert_id": alert.id}
        if one.delivered is not None:
            session.execute(
                insert(deliveries).values(
                    **of_alert, notification_id=note, channel="ops", kind=1, state=one.delivered, attempt_count=1,
                    detail="", time=1,
                )
            )  # fmt: skip
        if one.by_hand:
            session.execute(insert(manual_resolutions).values(**of_alert, revision=sequence, resolve_time=1))


def _alert(tenant: str, number: int, one: Past) -> Alert:
    resolved = None if one.ended is None else TIME + one.ended * DAY
    return Alert(
        tenant=tenant, id=f"alert_{number:03}", rule_id="rule_1", monitor_id="m", group={}, instance_key=str(number),
        episode=1, title="", severity=Severity.LOW, condition_text="", value=None, fire_time=TIME + one.fired * DAY,
        record_time=TIME + one.recorded * DAY, labels={}, annotations={}, channels=(), resolve_time=resolved,
    )  # fmt: skip


def left(session: Session) -> dict[str, list[tuple[str, str]]]:
    """Tenant and alert of each row that is left, by table."""
    return {
        table.name: sorted(
            map(tuple, session.execute(select(table.c.tenant_id, table.c.id if table is alerts else table.c.alert_id)))
        )
        for table in TABLES
    }


@st.composite
def pasts(draw: st.DrawFn) -> Past:
    fired = draw(st.integers(-9, 3))
    ended = draw(st.none() | st.integers(fired, 4))
    recorded = draw(st.just(fired) | st.just(3))
    told, delivered = draw(st.sampled_from([None, 0, 1, 2])), draw(st.sampled_from([None, 1, 2, 3, 5, 6]))
    return Past(fired, ended, recorded, told, delivered, draw(st.booleans()))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.dictionaries(st.tuples(st.sampled_from(["acme", "globex"]), st.integers(0, 99)), pasts(), max_size=12),
    most=st.integers(1, 4),
)
def test_what_is_over_for_long_goes_and_nothing_open_unfinished_or_younger_ever_does(
    loop_thread: LoopThread, database: Database, found: dict[tuple[str, int], Past], most: int
) -> None:
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    before = loop_thread.run(database.read(of_all(left)))
    deleted: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(past, "MOST", most)
        loop_thread.run(forget_over(database, TIME, [deleted.append], rest=0))
    gone = {(tenant, f"alert_{number:03}") for (tenant, number), one in found.items() if one.goes}
    after = loop_thread.run(database.read(of_all(left)))
    # The outbox has its own time, and forgets what was taken over.
    assert after == {
        name: [row for row in rows if name == "outbox" or row not in gone] for name, rows in before.items()
    }
    assert sum(deleted) == len(gone)


def test_what_changed_since_it_was_looked_for_stays(loop_thread: LoopThread, database: Database) -> None:
    over = Past(-9, -8, -9)
    found = {("acme", 1): over, ("acme", 2): Past(-9, None, -9), ("globex", 3): over}
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    ids = ["alert_001", "alert_002", "alert_003", "alert_none"]
    assert loop_thread.run(database.write(of_all(lambda session: past.forget(session, "acme", TIME, ids)))) == 1
    rows = loop_thread.run(database.read(of_all(left)))["alerts"]
    assert rows == [("acme", "alert_002"), ("globex", "alert_003")]


def test_an_alert_is_unfinished_until_it_is_over_and_a_notifier_has_taken_over_what_is_told_of_it(
    client: Client,
) -> None:
    def unfinished(*ids: str, tenant: str = client.tenant) -> list[str]:
        return list(client.mesh(pb.CheckAlertsRequest(tenant_id=tenant, alert_ids=ids)).unfinished_ids)

    rule, began = client.create(), now_nanos()
    alert_id = client.fire(rule, began)
    with client.notifications() as outbox_:
        outbox_.take(1)
        assert unfinished(alert_id, "alert_none") == [alert_id]
        assert unfinished(alert_id, tenant="another") == []
        client.record(client.transition(rule, RESOLVED, began + SECOND, episode=began))
        assert unfinished(alert_id) == [alert_id]
        outbox_.take(1)
        assert unfinished(alert_id, alert_id) == []
    assert "alert_ids" in client.refused(pb.CheckAlertsRequest(tenant_id="t", alert_ids=["a"] * 1001), True).message
    assert "tenant_id" in client.refused(pb.CheckAlertsRequest(alert_ids=["a"]), True).message
    assert client.refused(pb.CheckAlertsRequest(tenant_id=client.tenant)).code == "PERMISSION_DENIED"


def test_several_replicas_forget_at_the_same_time(loop_thread: LoopThread, database: Database) -> None:
    found = {("acme", number): Past(-9, -8, -9, told=1, delivered=3) for number in range(300)}
    loop_thread.run(database.write(of_all(lambda session: fill(session, found))))
    deleted: list[int] = []

    async def both() -> None:
        await asyncio.gather(*(forget_over(database, TIME, [deleted.append], rest=0) for _ in range(2)))

    loop_thread.run(both())
    assert sum(deleted) == 300
    assert loop_thread.run(database.read(of_all(left)))["alerts"] == []
