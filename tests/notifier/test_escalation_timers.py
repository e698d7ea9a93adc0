"""The timers of escalations, on a real database, against a plain model; and what a storm of them costs."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from monitors.mesh.database import Session
from monitors.mesh.times import DAY, MINUTE
from monitors.notifier.model.delivery import NEVER, Arrival, Decision, OutcomeKind, State
from monitors.notifier.model.escalation import Course, EscalationPolicy, Step, heed
from monitors.notifier.model.matching import Matcher, Operator
from monitors.notifier.model.message import Kind
from monitors.notifier.model.silences import Silence
from monitors.notifier.store import escalation_policies, escalations, silences
from monitors.notifier.store.escalating import MOST, Escalations
from monitors.notifier.store.policy import note_change
from monitors.notifier.translate import escalation_of, to_arrival
from monitors.v1 import alert_pb2, notification_pb2, rule_pb2
from tests.harness import LoopThread
from tests.notifier.test_plans import asked
from tests.notifier.test_queue import NOW, Store
from tests.notifier.world import SEVERITY_CHANGED, notification

STEPS = ((5, "b"), (12, "a"), (20, "b"))
BAD = Matcher("severity", Operator.EQUAL, "critical")
WORSE = EscalationPolicy("acme", "esc_worse", "worse", 1, (BAD,), (Step(3 * MINUTE, ("b",)), Step(6 * MINUTE, ("a",))))
ALL = EscalationPolicy("acme", "esc_all", "all", 2, (), tuple(Step(after * MINUTE, (name,)) for after, name in STEPS))


@pytest.fixture(scope="module")
def opened(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(loop_thread, tmp_path_factory.mktemp("escalations"))
    yield store
    store.database.close()


@pytest.fixture
def store(opened: Store) -> Store:
    prepare(opened)
    return opened


def prepare(store: Store) -> None:
    store.empty()

    def make(session: Session) -> None:
        session.execute(text("DELETE FROM notifier_silences"))
        for policy in (WORSE, ALL):
            escalation_policies.ROWS.insert(session, policy, NOW)
        note_change(session, "acme")

    store.write(make)


def silence(session: Session, one: Silence) -> None:
    silences.ROWS.insert(session, one, one.start)
    note_change(session, "acme")


def escalate(store: Store, now: int) -> int:
    escalating = Escalations(store.channels)
    return store.write(lambda session: escalating.take_due(session, now, partial(escalation_of, now)))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(
                ["wait", "wait", "wait", "sleep", "snooze", "silence", "worsen", "acknowledge", "end", "again"]
            ),
            st.integers(1, 15),
        ),
        max_size=14,
    ),
)
def test_it_is_escalated_exactly_when_and_to_whom_the_plain_model_says(
    store: Store, steps: list[tuple[str, int]]
) -> None:
    prepare(store)
    oracle, number, now = Oracle(), 0, NOW
    told: list[tuple[int, str]] = []

    def tell(kind: Kind, severity: int = 0, repeat_after: int = 0) -> None:
        nonlocal number
        number += 1
        former = oracle.severity
        oracle.hear(kind, now, severity or former, repeat_after)
        name = f"n{number}"
        payload = notification(name, alert=oracle.alert, sequence=number, now=NOW).SerializeToString()
        store.take_in(
            Arrival(
                "acme", name, oracle.alert, kind, oracle.severity, ("a",), "s", number, payload,
                repeat_after=repeat_after, former_severity=former,
            ),
            now=now,
        )  # fmt: skip

    def look() -> None:
        escalate(store, now)
        while claims := store.claim(now):
            for claim in claims:
                notified = notification_pb2.Notification.FromString(claim.parts[0].payload)
                if notified.kind == alert_pb2.ALERT_EVENT_KIND_ESCALATED:
                    told.append((now, claim.channel.name))
                store.finish(claim, OutcomeKind.OK, Decision(State.DELIVERED), now)

    tell(Kind.FIRING, severity=2)
    for what, amount in steps:
        if what == "snooze":
            tell(Kind.REPEAT_CHANGED, repeat_after=now + amount * MINUTE)
        elif what == "silence":
            end = now + amount * MINUTE
            one = Silence("acme", f"sil_{number}_{now}", (), now, end, "why")
            store.write(partial(silence, one=one))
            oracle.silent_until = max(oracle.silent_until, end)
        elif what == "worsen" and not oracle.is_over and oracle.severity < 4:
            tell(Kind.SEVERITY_CHANGED, severity=4)
        elif what == "acknowledge":
            tell(Kind.ACKNOWLEDGED)
        elif what == "end" and not oracle.is_over:
            tell(Kind.RESOLVED)
        elif what == "again" and oracle.is_over:
            tell(Kind.FIRING, severity=2)
        elif what == "sleep":
            # Nobody looks meanwhile, as in an outage.
            now += amount * MINUTE
        for _ in range(amount if what == "wait" else 1):
            look()
            oracle.look(now)
            now += MINUTE
    assert sorted(told) == sorted(oracle.told)


@dataclass
class Oracle:
    """One alert after another of one instance, in plain words: when and to whom it's escalated."""

    episode: int = 0
    severity: int = 2
    began: int = 0
    steps: list[tuple[int, str]] = field(default_factory=list)
    quiet_until: int = 0
    silent_until: int = 0
    is_over: bool = True
    is_cared_for: bool = False
    told: list[tuple[int, str]] = field(default_factory=list)

    @property
    def alert(self) -> str:
        return f"alert_{self.episode}"

    def hear(self, kind: Kind, now: int, severity: int, repeat_after: int) -> None:
        if kind is Kind.FIRING:
            self.episode += 1
            self.began, self.steps, self.quiet_until = now, list(STEPS), 0
            self.is_over = self.is_cared_for = False
        self.severity = severity
        if kind is Kind.SEVERITY_CHANGED:
            self.began, self.steps = now, [(3, "b"), (6, "a")]
        if kind is Kind.REPEAT_CHANGED:
            self.quiet_until = repeat_after
        self.is_cared_for = self.is_cared_for or kind is Kind.ACKNOWLEDGED
        self.is_over = self.is_over or kind is Kind.RESOLVED

    def look(self, now: int) -> None:
        late = [name for after, name in self.steps if self.began + after * MINUTE <= now]
        if late and not (self.is_over or self.is_cared_for or now < self.quiet_until or now < self.silent_until):
            self.told += [(now, name) for name in dict.fromkeys(late)]
            self.steps = self.steps[len(late) :]


arrivals = st.builds(
    Arrival,
    tenant=st.just("acme"),
    notification_id=st.just("n"),
    alert_id=st.just("alert"),
    kind=st.sampled_from([Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.REPEAT_CHANGED, Kind.ACKNOWLEDGED, Kind.RESOLVED]),
    severity=st.integers(1, 4),
    channels=st.just(()),
    stream_key=st.just("s"),
    sequence=st.just(1),
    payload=st.just(b""),
    former_severity=st.integers(1, 4),
    is_acknowledged=st.booleans(),
)


@given(st.lists(st.tuples(arrivals, st.integers(1, 30)), max_size=20))
def test_whatever_comes_in_whatever_order_no_step_is_taken_twice_or_of_what_is_taken_care_of(
    heard: list[tuple[Arrival, int]],
) -> None:
    course: Course | None = None
    now = NOW
    policies = {policy.id: policy for policy in (WORSE, ALL)}
    for arrival, minutes in heard:
        before = course
        course = heed(course, arrival, [WORSE, ALL], now)
        if arrival.kind is Kind.RESOLVED:
            assert course is None
        if before and before.is_acknowledged and course:
            assert course.due_at == NEVER
        if before and course:
            # No number comes twice.
            assert course.made >= before.made
        now += minutes * MINUTE
        if course and course.due_at <= now:
            steps = policies[course.policy_id].steps
            after = course.taken(steps, now)
            assert after.due_at > now
            assert (after.policy_id, after.done > course.done) == (course.policy_id, True)
            course = after


def test_what_somebody_takes_care_of_begins_no_escalation_when_it_gets_worse() -> None:
    told = notification("n1", SEVERITY_CHANGED, severity=rule_pb2.SEVERITY_CRITICAL)
    told.former_severity = rule_pb2.SEVERITY_LOW
    begun = heed(None, arrived(told), [WORSE, ALL], NOW)
    assert begun is not None
    assert (begun.policy_id, begun.due_at) == ("esc_worse", NOW + 3 * MINUTE)
    told.alert.acknowledgement.user = "ann"
    assert heed(None, arrived(told), [WORSE, ALL], NOW) is None


def storm(store: Store, count: int) -> list[notification_pb2.Notification]:
    """So many alerts fire, each in a stream of its own."""
    told = [notification(f"n{n}", alert=f"alert_{n}", stream=f"s{n}", sequence=n) for n in range(count)]
    store.take_in(*map(arrived, told))
    return told


def arrived(one: notification_pb2.Notification) -> Arrival:
    arrival = to_arrival(one)
    assert arrival is not None
    return arrival


def test_a_storm_is_escalated_in_bounded_batches(store: Store) -> None:
    count = 3 * MOST + 1
    told = storm(store, count)
    later = NOW + 5 * MINUTE
    assert [escalate(store, later) for _ in range(5)] == [MOST, MOST, MOST, 1, 0]
    assert store.write(escalations.count_waiting) == count
    assert store.write(escalations.first_due) == NOW + 12 * MINUTE
    # What is over takes its timer along.
    for one in told:
        one.id, one.kind = f"r{one.id}", alert_pb2.ALERT_EVENT_KIND_RESOLVED
    store.take_in(*map(arrived, told), now=later)
    assert store.write(escalations.count_waiting) == 0
    assert escalate(store, later + DAY) == 0


def test_what_is_asked_in_a_storm_is_answered_by_indexes(store: Store) -> None:
    told = storm(store, 1000)
    store.take_in(arrived(notification("other", alert="other", stream="other", tenant="globex")))
    later = NOW + 5 * MINUTE
    over = [arrived(one) for one in told[:5]]
    cared = [replace(one, notification_id=f"a{one.notification_id}", kind=Kind.ACKNOWLEDGED) for one in over]
    escalating = Escalations(store.channels)

    def work(session: Session) -> list[str]:
        connection = session.connection()
        is_file = connection.dialect.name == "sqlite"
        for table in () if is_file else ("notifier_escalations", "notifier_deliveries"):
            connection.exec_driver_sql(f"ANALYZE TABLE {table}").all()

        def ask(session: Session) -> None:
            escalating.take_due(session, later, partial(escalation_of, later))
            escalations.follow(session, "acme", [WORSE, ALL], cared, later)
            escalations.follow_policy(session, "acme", "esc_worse", later)
            escalations.first_due(session)

        statements = [one for one in asked(session, ask) if "notifier_" in one[0] and not one[0].startswith("INSERT")]
        assert len(statements) > 8
        how = "EXPLAIN QUERY PLAN" if is_file else "EXPLAIN"
        found = [
            (statement, row)
            for statement, parameters in statements
            for row in connection.exec_driver_sql(f"{how} {statement}", parameters).mappings()
        ]
        if is_file:
            return [
                f"{row['detail']} <- {statement}"
                for statement, row in found
                if row["detail"].startswith("SCAN notifier_")
            ]
        return [
            f"{dict(row)} <- {statement}"
            for statement, row in found
            if row["type"] == "ALL" and str(row["table"]) in ("notifier_escalations", "notifier_deliveries")
        ]

    assert store.write(work) == []
