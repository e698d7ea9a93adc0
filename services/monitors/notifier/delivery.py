"""The delivery loop: notifications in, attempts out, each step one transaction.

Whatever waits is done together: one commit records the attempts that have ended, takes in what has come, and leases
what is due. So a notification is on the wire after a single commit, and a storm costs no more commits than a trickle.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.errors import CommitUnknown
from monitors.mesh.spans import is_traced
from monitors.mesh.times import SECOND
from monitors.notifier.channels.senders import Senders
from monitors.notifier.clock import Clock
from monitors.notifier.flow import Flow, Permit
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.delivery import Arrival, Outcome, OutcomeKind, decide, explained
from monitors.notifier.model.gathering import ENOUGH, patience
from monitors.notifier.model.heartbeats import without_retry
from monitors.notifier.model.message import Kind
from monitors.notifier.model.minimal import minimal
from monitors.notifier.model.places import LINGERS
from monitors.notifier.model.room import Room
from monitors.notifier.outage import Outages
from monitors.notifier.spans import attempting
from monitors.notifier.store.claims import Claim, Finished
from monitors.notifier.store.escalating import MOST, Escalations
from monitors.notifier.store.notices import Notices
from monitors.notifier.store.queue import Queue
from monitors.notifier.time_limits import TimeLimits
from monitors.notifier.translate import content_of, escalation_of, message_from_payload, notice_to_arrival, repeat_of

log = logging.getLogger(__name__)

ATTEMPT_SECONDS = 20.0
MIN_LEASE = 20 * SECOND
POLL = 10 * SECOND
STOP_SECONDS = 3.0
"""As long as a person at a terminal waits for an end."""
PAUSE_AFTER_FAULT = 1.0
FEW = 20
TOO_LONG = Outcome(OutcomeKind.AMBIGUOUS, "it took too long; whether it has arrived is unknown")


class Dispatcher:
    """Owns the queue. `on_change` is called when there is something that RuleService should know."""

    def __init__(
        self,
        database: Database,
        queue: Queue,
        notices: Notices,
        escalations: Escalations,
        senders: Senders,
        flow: Flow,
        outages: Outages,
        clock: Clock,
        on_change: Callable[[], None],
    ) -> None:
        self._database = database
        self._queue = queue
        self._notices = notices
        self._escalations = escalations
        self._senders = senders
        self._flow = flow
        self._outages = outages
        self._clock = clock
        self._on_change = on_change
        self.on_finished: list[Callable[[Sequence[Finished]], None]] = []
        """Called with attempts that have been recorded."""
        self._is_traced = is_traced()
        self._wake = asyncio.Event()
        self._inbox: list[tuple[Sequence[Arrival], asyncio.Future[None]]] = []
        self._finished: list[Finished] = []
        self._put_back: list[Claim] = []
        self._sending: dict[asyncio.Task[Outcome | None], Claim] = {}
        self._stopping = self._is_last_step = self._is_stepping = False
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at = 0
        self._limits = TimeLimits(ATTEMPT_SECONDS)
        self._gathering: asyncio.TimerHandle | None = None
        self._lease_end = 0
        """When to look for leases that have run out."""
        self._escalation_at = 0
        """When to look for escalations that are due."""
        self._exhausted: Mapping[str, str] = {}
        """For whom something waits beyond what is allowed, as the last step saw it."""
        self._unknown = ""
        """The token of a step of which it isn't known whether it was committed."""

    async def take_in(self, arrivals: Sequence[Arrival]) -> None:
        """Makes notifications our own. Returns when that is durable."""
        taken = asyncio.get_running_loop().create_future()
        self._inbox.append((arrivals, taken))
        self._consider(is_news=True)
        await taken

    def beyond_quota(self, tenant: str) -> str:
        """What a tenant may be told, if something waits that goes beyond; else nothing."""
        return self._exhausted.get(tenant, "")

    @property
    def tenants_beyond_quota(self) -> int:
        """For how many tenants something waits that goes beyond."""
        return len(self._exhausted)

    def look(self) -> None:
        """Something may have become due."""
        self._escalation_at = 0
        self._wake.set()

    async def run(self) -> None:
        """Delivers until `stop` is called. A fault of the database is logged and tried again."""
        try:
            await self._run()
        finally:
            self._silence()
            self._stop_gathering()
            self._limits.close()

    async def _run(self) -> None:
        while not self._is_done():
            self._wake.clear()
            try:
                self._is_stepping = True
                due = await self._step()
            except Exception as error:
                known = storage_error(error)
                if known:
                    log.warning("the delivery queue can't be written; trying again: %s", known.message)
                else:
                    log.exception("the delivery queue can't be written; trying again")
                if self._is_last_step:
                    return
                await asyncio.sleep(PAUSE_AFTER_FAULT)
                continue
            finally:
                self._is_stepping = False
            if not self._is_done():
                await self._wait(due)

    def _is_done(self) -> bool:
        return self._stopping and not self._sending and not self._finished and not self._put_back

    async def stop(self, running: asyncio.Task[None], seconds: float) -> None:
        """Lets what is being sent end and be recorded, for so many seconds; what doesn't end is sent again by the next
        run."""
        self._stopping = True
        self._wake.set()
        await asyncio.wait([running], timeout=seconds)
        self._is_last_step = True
        unfinished = dict(self._sending)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        self._wake.set()
        await running
        await self._give_up(list(unfinished.values()))

    async def _give_up(self, claims: Sequence[Claim]) -> None:
        """Lets another notifier, or the next run, send at once what this one won't send to the end."""
        now = self._clock.now()
        try:
            await self._database.write(lambda session: self._queue.give_up(session, claims, now), repeatable=True)
        except Exception:
            log.warning("what was being sent is sent again when its lease ends", exc_info=True)

    async def _step(self) -> int:
        """One transaction and what follows from it. Returns when something is due next."""
        self._stop_gathering()
        inbox, self._inbox = self._inbox, []
        finished, self._finished = self._finished, []
        put_back, self._put_back = self._put_back, []
        now = self._clock.now()
        make_room = self._flow.rooms(now, [*(one.claim for one in finished), *put_back])
        token, unknown = secrets.token_hex(8), self._unknown
        looks_at, self._escalation_at = self._escalation_at, now + POLL

        def transaction(session: Session) -> tuple[list[Arrival], list[Claim], Room, int, int]:
            if unknown:
                self._queue.take_back(session, unknown)
            lost = self._queue.finish(session, finished)
            for one in lost:
                log.warning("delivery %s was taken over before its attempt ended", one.claim.delivery_id)
            recorded = [one for one in finished if one not in lost] if lost else finished
            self._escalations.drop(session, recorded, now)
            self._notices.follow(session, recorded, now, partial(notice_to_arrival, now))
            self._queue.put_back(session, put_back)
            lease_end = self._lease_end
            if lease_end <= now:
                # Those that another notifier takes from here on last longer than until the next look.
                lease_end = min(self._queue.reclaim(session, now) or now + POLL, now + POLL)
            unprinted = self._queue.take_in(session, [one for arrivals, _ in inbox for one in arrivals], now)
            escalation_at = looks_at if looks_at > now or self._stopping else self._escalate(session, now)
            room = make_room()
            claims = [] if self._stopping else self._claim(session, now, token, room)
            if self._notices.tell_of_quotas(session, room.exhausted, now, partial(notice_to_arrival, now)):
                room.look_again(now)
            return unprinted, claims, room, lease_end, escalation_at

        try:
            unprinted, claims, room, self._lease_end, escalation_at = await self._database.write(transaction)
        except Exception as error:
            self._escalation_at = 0
            self._finished[:0] = finished
            self._put_back[:0] = put_back
            if isinstance(error, CommitUnknown):
                self._unknown = token
            for _, taken in inbox:
                if not taken.done():
                    taken.set_exception(error)
            raise
        self._unknown = ""
        # Whoever wanted it looked at meanwhile has set it to an earlier time.
        self._escalation_at = min(self._escalation_at, escalation_at)
        self._exhausted = room.exhausted
        for note in (self._outages.note, *self.on_finished):
            note(finished)
        self._begin(claims, self._flow.begin(claims, room))
        for _, taken in inbox:
            if not taken.done():
                taken.set_result(None)
        for arrival in unprinted if self._senders.shows_all else ():
            self._senders.show(message_from_payload(arrival.payload, ""), now)
        # Also where nothing came or ended: what was due may have been given up because its channel is gone.
        self._on_change()
        upcoming = (self._lease_end, self._escalation_at, room.upcoming, room.next_token())
        return min(time for time in upcoming if time is not None)

    def _escalate(self, session: Session, now: int) -> int:
        """Lets others be told of what nobody has acknowledged. Returns when to look again: what others
        make meanwhile isn't due sooner."""
        if self._escalations.take_due(session, now, partial(escalation_of, now)) == MOST:
            return now
        return min(self._escalations.next_due(session) or now + POLL, now + POLL)

    def _claim(self, session: Session, now: int, token: str, room: Room) -> list[Claim]:
        """Leases what is due. What is told again takes the room that news leaves."""
        claims = self._queue.claim(session, now, token, room)
        left, again = room.turns.capacity, self._queue.next_repeat(session)
        if left <= 0:
            room.look_again(room.places.upcoming or now + LINGERS)
            return claims  # It goes on when an attempt has ended or isn't at its beginning any more.
        if again is not None and again <= now:
            is_more = self._queue.repeat(session, now, left, partial(repeat_of, now)) == left
            claims += self._queue.claim(session, now, token, room)
            again = now if is_more else self._queue.next_repeat(session)
        room.look_again(again)
        return claims

    async def _wait(self, due: int) -> None:
        """Until something has come or is due. An alarm that is set for earlier is left: at worst it wakes in vain."""
        self._consider()
        due = min(due, self._clock.now() + POLL)
        if self._alarm is None or self._alarm.done() or due < self._alarm_at:
            self._silence()
            self._alarm, self._alarm_at = asyncio.create_task(self._ring(due)), due
        await self._wake.wait()

    async def _ring(self, time: int) -> None:
        await self._clock.until(time)
        self._wake.set()

    def _silence(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()

    def _begin(self, claims: Sequence[Claim], permits: Sequence[Permit]) -> None:
        create = asyncio.get_running_loop().create_task
        begun = {create(self._attempt(*pair)): pair[0] for pair in zip(claims, permits, strict=True)}
        for task in begun:
            task.add_done_callback(self._ended)
        self._sending |= begun
        self._limits.begin(begun)

    def _ended(self, task: asyncio.Task[Outcome | None]) -> None:
        claim = self._sending.pop(task)
        self._limits.end(task)
        self._flow.end(claim, None if task.cancelled() or task.exception() else task.result())
        self._consider()

    def _consider(self, *, is_news: bool = False) -> None:
        """Lets a step begin now, or a moment later along with what is about to end or to come."""
        ended = len(self._finished) + len(self._put_back)
        if self._is_stepping or (self._gathering and self._sending and ended < ENOUGH and not is_news):
            return  # At the step's end, or after the moment, it's considered what has ended meanwhile.
        seconds = patience(
            ended, len(self._sending), lambda: self._flow.is_busy(self._clock.now()), has_come=bool(self._inbox)
        )
        # Who ends waits for nothing that may still come, but for what is being sent.
        if seconds == 0 or (self._stopping and (ended or not self._sending)):
            self._wake.set()
        elif seconds and self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(seconds, self._wake.set)

    def _stop_gathering(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    async def _attempt(self, claim: Claim, permit: Permit) -> Outcome | None:
        """Gives what came of it; None if none was made."""
        if not await self._may_send(claim, permit):
            self._put_back.append(claim)
            return None
        started = self._clock.now()
        outcome = explained(await self._send(claim, started), is_minimal=claim.is_minimal)
        ended = self._clock.now()
        decision = decide(
            outcome,
            channel_kind=claim.channel.kind,
            attempt=claim.attempt,
            now=ended,
            jitter=random.uniform(-1, 1),
            broken_before=claim.broken_before,
            is_minimal=claim.is_minimal,
            fewest=claim.fewest_attempts,
        )
        if claim.kind is Kind.HEARTBEAT:
            decision = without_retry(decision)
        self._finished.append(Finished(claim, outcome, decision, started, ended))
        return outcome

    async def _may_send(self, claim: Claim, permit: Permit) -> bool:
        """Whether there are tokens, and so soon that the lease lasts for the attempt: else whoever claims it next has
        a lease that does."""
        try:
            if not await self._flow.may_send(permit, self._clock.now()):
                return False
        except asyncio.CancelledError:
            if not self._limits.has_run_out():
                raise
            is_late = True
        else:
            is_late = claim.lease_until - self._clock.now() < MIN_LEASE
        if is_late:
            log.warning("delivery %s waited too long for the limits of its channel and is put back", claim.delivery_id)
        return not is_late

    async def _send(self, claim: Claim, now: int) -> Outcome:
        try:
            # To put many together takes so long that others would wait for it.
            content = _content(claim) if len(claim.parts) <= FEW else await asyncio.to_thread(_content, claim)
            if not self._is_traced:
                return await self._senders.send(claim.channel, content, now)
            with attempting(claim, content) as (content, note):
                outcome = await self._senders.send(claim.channel, content, now)
                note(outcome)
                return outcome
        except asyncio.CancelledError:
            if not self._limits.has_run_out():
                raise
            return TOO_LONG
        except TimeoutError:
            return TOO_LONG
        except Exception:
            log.exception("sending %s failed by a fault of ours", claim.delivery_id)
            return Outcome(OutcomeKind.RETRYABLE, "a fault of the notifier, which its log explains")


def _content(claim: Claim) -> Content:
    """What is sent."""
    payloads = [part.payload for part in claim.parts]
    content = content_of(payloads, claim.channel.id, claim.message_id, is_digest=claim.is_digest)
    return minimal(content) if claim.is_minimal else content
