"""The notifier: shorter waits, points to die at, and what may be taken out of it."""

import asyncio
import random
from collections.abc import Sequence
from typing import Any

from sqlalchemy import true, update
from sqlalchemy.orm import Session

from monitors.mesh.tenancy import across_tenants
from monitors.mesh.times import SECOND
from monitors.notifier import delivery, intake
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.egress import Egress
from monitors.notifier.model import breaker
from monitors.notifier.model import delivery as decisions
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.reports import Reporter
from monitors.notifier.store import backlogs, queue, sendable
from monitors.notifier.store.claims import Claim, Finished
from monitors.notifier.store.queue import Queue
from monitors.notifier.store.tables import DeliveryRow
from tests.crash.failpoints import after, after_awaiting, before, gives_some


def scale_down() -> None:
    """Retries after fractions of a second and leases of some seconds, so that a short run sees many of them."""
    waits = (0, 0.2, 0.5, *[1.0] * 500)
    setattr(decisions, "WEBHOOK_SCHEDULE", tuple(int(wait * SECOND) for wait in waits))  # noqa: B010
    queue.LEASE = 6 * SECOND
    breaker.FIRST_PAUSE, breaker.LONGEST_PAUSE = SECOND // 4, SECOND
    delivery.ATTEMPT_SECONDS = 2.0
    delivery.MIN_LEASE = 3 * SECOND
    delivery.POLL = SECOND
    intake.SILENCE_SECONDS = 12.0
    intake.LONGEST_PAUSE = 1.0


def _was_given_some(arguments: tuple[Any, ...], _: Any) -> bool:
    return bool(arguments[2])


def _was_taken(_: tuple[Any, ...], answer: Outcome) -> bool:
    return answer.kind is OutcomeKind.OK


POINTS = {
    "notifier has taken messages over and not committed": after(Queue, "take_in", _was_given_some),
    "notifier has taken messages over and not acknowledged them": after_awaiting(Dispatcher, "take_in"),
    "notifier has claimed and not committed": after(Queue, "claim", gives_some),
    "notifier has claimed and not begun": before(Dispatcher, "_attempt"),
    "notifier is about to send": before(Egress, "post"),
    "notifier has sent and not marked": after_awaiting(Dispatcher, "_send", _was_taken),
    "notifier has marked and not committed": after(Queue, "finish", _was_given_some),
    "notifier has reported and not noted that": after_awaiting(Reporter, "_report"),
}


def no_stream_gate() -> None:
    """A message doesn't wait for the earlier ones of its stream."""
    sendable.nothing_earlier = true
    # It takes for granted that only the first of a stream comes up.
    setattr(backlogs, "collapse", lambda _, heads, __: list(heads))  # noqa: B010


def mark_before_send() -> None:
    """A message counts as told before it is sent."""
    send = Dispatcher._send

    async def mark(self: Dispatcher, claim: Claim, now: int) -> Outcome:
        outcome = await send(self, claim, now)
        return outcome if outcome.kind is OutcomeKind.ACCEPTED else Outcome(OutcomeKind.OK, "as it was marked")

    Dispatcher._send = mark  # type: ignore[method-assign]


def no_fencing() -> None:
    """Leases are shorter than some attempts, and who lost one ends the delivery all the same."""
    queue.LEASE = int(0.5 * SECOND)
    delivery.MIN_LEASE = -(2**62)
    finish, send = Queue.finish, Dispatcher._send

    def unfenced(self: Queue, session: Session, finished: Sequence[Finished]) -> list[Finished]:
        for claim in (one.claim for one in finished):
            _touch(
                session,
                update(DeliveryRow)
                .where(
                    DeliveryRow.tenant_id == claim.tenant, DeliveryRow.id == claim.delivery_id,
                    DeliveryRow.lease_token != claim.lease_token,
                )
                .values(
                    lease_token=claim.lease_token, state=int(decisions.State.IN_FLIGHT),
                    attempt_count=DeliveryRow.attempt_count + 1,
                ),
            )  # fmt: skip
        return finish(self, session, finished)

    async def slowly(self: Dispatcher, claim: Claim, now: int) -> Outcome:
        # As a process that gets no time from its machine.
        await asyncio.sleep(0.8 if random.random() < 0.2 else 0)
        return await send(self, claim, now)

    Queue.finish = unfenced  # type: ignore[method-assign]
    Dispatcher._send = slowly  # type: ignore[method-assign]


def _touch(session: Session, statement: Any) -> None:
    with across_tenants(session, "what is broken on purpose keeps no tenant out"):
        session.execute(statement)


BREAKS = {"no-stream-gate": no_stream_gate, "mark-before-send": mark_before_send, "no-fencing": no_fencing}
