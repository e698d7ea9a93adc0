"""The notifier's queue: deliveries taken in, claimed and finished, as its delivery loop does it."""

import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import cpu_of
from benchmarks.store.clients import batches
from benchmarks.store.targets import Bare, Target
from monitors.mesh.database import Database, Session
from monitors.mesh.ids import new_id
from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import Sealer
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import now_nanos
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.checks import new_webhook_secret
from monitors.notifier.model.delivery import Arrival, Outcome, OutcomeKind, State, decide
from monitors.notifier.model.message import Kind
from monitors.notifier.model.places import AT_ONCE, Places
from monitors.notifier.model.rates import Rates, Tokens
from monitors.notifier.model.room import Room
from monitors.notifier.model.targets import WebhookTarget
from monitors.notifier.model.turns import Turns
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Claim, Finished
from monitors.notifier.store.queue import Queue
from monitors.rules.store.outbox import LARGEST_BATCH
from tests.harness import LoopThread

TENANT = "local"
CHANNELS = 8
PROVEN = frozenset((TENANT, f"chan_{number}") for number in range(CHANNELS))
ARRIVALS_AT_ONCE = LARGEST_BATCH
BODY = secrets.token_bytes(400)


@dataclass(frozen=True)
class Speeds:
    """A second: taken in, claimed and finished, and the latter with the plain driver."""

    taken_in: float
    finished: float
    cpu: float
    """Seconds of CPU for each that was claimed and finished."""
    bare: float


def measure(target: Target, count: int) -> Speeds:
    """Takes `count` deliveries through the queue."""
    url = target.database("notifier")
    loop = LoopThread()
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        database = Database(url, name="notifier", migrations="monitors.notifier.migrations")
        database.upgrade()
        queue = _queue(loop, database, Path(folder))
        arrivals = [_arrival(number) for number in range(count)]
        begun = time.perf_counter()
        for part in batches(arrivals, ARRIVALS_AT_ONCE):
            loop.run(database.write(lambda session: queue.take_in(session, part, now_nanos())))  # noqa: B023
        taken_in = count / (time.perf_counter() - begun)
        begun = time.perf_counter()
        cpu = cpu_of(lambda: _work_off(loop, database, queue, count))
        finished = count / (time.perf_counter() - begun)
        database.close()
    loop.close()
    with target.bare(url) as bare:
        with bare.transaction():
            bare.execute("UPDATE notifier_deliveries SET state = ?, attempt_count = 0", (int(State.PENDING),))
            bare.execute("DELETE FROM notifier_attempts")
        return Speeds(taken_in, finished, cpu / count, _bare(bare))


def _queue(loop: LoopThread, database: Database, folder: Path) -> Queue:
    channels = ChannelStore(Sealer(key_ring((), folder / "key")))
    target = WebhookTarget(Secret("https://example.org/hook"), new_webhook_secret())

    def make(session: Session) -> None:
        for number in range(CHANNELS):
            with of_tenant(session, TENANT):
                channels.insert(session, Channel(TENANT, f"chan_{number}", f"c{number}", target, is_default=False))

    loop.run(database.write(make))
    return Queue(channels)


def _arrival(number: int) -> Arrival:
    return Arrival(
        tenant=TENANT,
        notification_id=new_id("note"),
        alert_id=f"alert_{number:012d}",
        kind=Kind.FIRING,
        severity=2,
        channels=(f"c{number % CHANNELS}",),
        stream_key=f"stream{number}",
        sequence=number,
        payload=BODY,
    )


def _work_off(loop: LoopThread, database: Database, queue: Queue, count: int) -> None:
    """Each transaction finishes what the one before has claimed, and claims more."""
    done, ended = 0, list[Finished]()

    def step(session: Session) -> list[Claim]:
        if queue.finish(session, ended):
            raise RuntimeError("a lease was lost")
        now = now_nanos()
        room = Room(Turns(AT_ONCE, {}, {}, {}), Places((), PROVEN, now), Rates(0, 0), Tokens(), now)
        return queue.claim(session, now, "token", room)

    while done < count:
        claims = loop.run(database.write(step))
        done += len(ended)
        ended = [_finished(claim) for claim in claims]


def _finished(claim: Claim) -> Finished:
    now, outcome = now_nanos(), Outcome(OutcomeKind.OK, "the endpoint answered 200", 200)
    decision = decide(outcome, channel_kind="webhook", attempt=1, now=now, jitter=0.0, broken_before=False)
    return Finished(claim, outcome, decision, now, now)


def _bare(bare: Bare) -> float:
    """Deliveries a second that are claimed and finished, in the same order and with as many commits."""
    count, ended, begun = 0, list[str](), time.perf_counter()
    while True:
        now = now_nanos()
        with bare.transaction():
            attempts = [
                (TENANT, one, 1, now, now, int(OutcomeKind.OK), 200, "the endpoint answered 200") for one in ended
            ]
            if ended:
                bare.execute_many("INSERT INTO notifier_attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?)", attempts)
                marks = ", ".join("?" * len(ended))
                bare.execute(
                    f"UPDATE notifier_deliveries SET state = ?, detail = 'ok', lease_token = '', "
                    f"version = version + 1, report_due = 1, updated_at = ? WHERE tenant_id = ? AND id IN ({marks})",
                    (int(State.DELIVERED), now, TENANT, *ended),
                )
            rows = bare.execute(
                f"SELECT * FROM notifier_deliveries WHERE state = ? AND severity = 2 AND next_at <= ? "
                f"ORDER BY next_at, sequence LIMIT {AT_ONCE}",
                (int(State.PENDING), now),
            )
            count += len(ended)
            ended = [row[1] for row in rows]
            if ended:
                marks = ", ".join("?" * len(ended))
                bare.execute(
                    f"UPDATE notifier_deliveries SET state = ?, attempt_count = 1, lease_token = 'token', "
                    f"leased_at = ?, lease_until = ? WHERE tenant_id = ? AND id IN ({marks})",
                    (int(State.IN_FLIGHT), now, now + 30 * 10**9, TENANT, *ended),
                )
        if not ended:
            return count / (time.perf_counter() - begun)
