"""`monitors serve …` as it is, but with waits scaled down, and maybe with something taken out of it on purpose.

`python -m tests.crash.launcher serve notifier`; `MONITORS_CRASH_BREAK` names one of `BREAKS`, each of which the crash
test must find out.
"""

import asyncio
import os
import random
from collections.abc import Sequence
from typing import Any

import grpc
from sqlalchemy import true, update
from sqlalchemy.orm import Session

from monitors.cli.main import run
from monitors.evaluator import recorder
from monitors.mesh.tenancy import across_tenants
from monitors.mesh.times import SECOND
from monitors.notifier import delivery, intake
from monitors.notifier.model import breaker
from monitors.notifier.model import delivery as decisions
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.store import queue, sendable
from monitors.notifier.store.tables import DeliveryRow
from monitors.rules.store import outbox

BREAK = "MONITORS_CRASH_BREAK"


def scale_down() -> None:
    """Retries after fractions of a second and leases of some seconds, so that a short run sees many of them."""
    waits = (0, 0.2, 0.5, *[1.0] * 500)
    setattr(decisions, "WEBHOOK_SCHEDULE", tuple(int(wait * SECOND) for wait in waits))  # noqa: B010
    queue.LEASE = outbox.LEASE = 6 * SECOND
    breaker.FIRST_PAUSE, breaker.LONGEST_PAUSE = SECOND // 4, SECOND
    delivery.ATTEMPT_SECONDS = 2.0
    delivery.MIN_LEASE = 3 * SECOND
    delivery.POLL = SECOND
    intake.SILENCE_SECONDS = 12.0
    intake.LONGEST_PAUSE = 1.0


def no_stream_gate() -> None:
    """A message doesn't wait for the earlier ones of its stream."""
    sendable.nothing_earlier = true


def mark_before_send() -> None:
    """A message counts as told before it is sent."""
    send = delivery.Dispatcher._send

    async def mark(self: delivery.Dispatcher, claim: queue.Claim, now: int) -> Outcome:
        outcome = await send(self, claim, now)
        return outcome if outcome.kind is OutcomeKind.ACCEPTED else Outcome(OutcomeKind.OK, "as it was marked")

    delivery.Dispatcher._send = mark  # type: ignore[method-assign]


def no_fencing() -> None:
    """Leases are shorter than some attempts, and who lost one ends the delivery all the same."""
    queue.LEASE = int(0.5 * SECOND)
    delivery.MIN_LEASE = -(2**62)
    finish, send = queue.Queue.finish, delivery.Dispatcher._send

    def unfenced(self: queue.Queue, session: Session, finished: Sequence[queue.Finished]) -> list[queue.Finished]:
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

    async def slowly(self: delivery.Dispatcher, claim: queue.Claim, now: int) -> Outcome:
        # As a process that gets no time from its machine.
        await asyncio.sleep(0.8 if random.random() < 0.2 else 0)
        return await send(self, claim, now)

    queue.Queue.finish = unfenced  # type: ignore[method-assign]
    delivery.Dispatcher._send = slowly  # type: ignore[method-assign]


def _touch(session: Session, statement: Any) -> None:
    with across_tenants(session, "what is broken on purpose keeps no tenant out"):
        session.execute(statement)


def forget_transitions() -> None:
    """What RuleService hasn't taken after a moment isn't sent again."""
    setattr(recorder, "CALL_TIMEOUT", 0.3)  # noqa: B010
    record = recorder.Recorder._record_some

    async def once(self: recorder.Recorder) -> None:
        chunk, _ = self._next_chunk()
        try:
            await record(self)
        except grpc.aio.AioRpcError:
            for _ in chunk:
                self._waiting.popleft()

    recorder.Recorder._record_some = once  # type: ignore[method-assign]


BREAKS = {
    one.__name__.replace("_", "-"): one for one in (no_stream_gate, mark_before_send, no_fencing, forget_transitions)
}

if __name__ == "__main__":
    scale_down()
    if os.environ.get(BREAK):
        BREAKS[os.environ[BREAK]]()
    run()
