"""What goes to one notifier: what is sent to it without a look, and what it leases from the outbox."""

import logging
import time
from collections.abc import Sequence

from monitors.mesh.database import Session
from monitors.mesh.times import SECOND
from monitors.rules.service.base import Core
from monitors.rules.service.outlets import Outlet
from monitors.rules.store import outbox
from monitors.v1 import rule_service_pb2 as pb

log = logging.getLogger(__name__)

# People wait for what another process may have recorded.
POLL_SECONDS = 1.0
BATCHES = 3
"""Of many messages so many batches are leased by one transaction: a commit costs about as much as one of them."""


class Pump:
    """Finds the messages of a notifier's stream."""

    def __init__(self, core: Core, outlet: Outlet) -> None:
        self._core = core
        self._outlet = outlet
        self._changed = core.outbox_changed.upcoming
        """Set when there may be more in the outbox than at the last look into it."""
        self._look_at = 0.0

    async def look(self) -> tuple[list[pb.LeaseNotificationsResponse], bool]:
        """What there is to send, and whether there may be more at once."""
        found = [self._message(leased) for leased in self._outlet.take()]
        is_known = not (self._outlet.is_behind or self._changed.is_set()) and time.monotonic() < self._look_at
        if is_known:
            return found, False
        self._changed = self._core.outbox_changed.upcoming
        batches, due = await self._core.database.write(self._lease)
        self._outlet.is_behind = is_cut = batches[-1].is_cut
        # What waits for messages that have just been leased is looked for when they're acknowledged.
        is_more = is_cut and (bool(batches[-1].leased) or len(batches) == 1)
        # A message that is held goes out when its time has come, not at the next look.
        seconds = POLL_SECONDS if due is None else (due - self._core.database.now()) / SECOND
        self._look_at = time.monotonic() + min(POLL_SECONDS, max(0.0, seconds))
        found += [self._message(batch.leased) for batch in batches if batch.leased]
        return found, is_more

    def wait(self) -> float:
        """In how many seconds to look into the outbox at the latest."""
        return max(0.0, self._look_at - time.monotonic())

    def _lease(self, session: Session) -> tuple[list[outbox.Batch], int | None]:
        now = self._core.database.now()
        batches = [outbox.lease(session, now, self._outlet.token)]
        while batches[-1].is_cut and len(batches) < BATCHES:
            batches.append(outbox.lease(session, now, self._outlet.token, batches[-1]))
            if not batches[-1].leased:
                break
        return batches, outbox.next_due(session, now)

    def _message(self, leased: Sequence[outbox.Leased]) -> pb.LeaseNotificationsResponse:
        message = pb.LeaseNotificationsResponse(lease_token=self._outlet.token)
        for each in leased:
            # Read where it belongs: made by itself it would be copied.
            notification = message.notifications.add()
            notification.MergeFromString(each.body)
            notification.sequence = each.sequence
        return message


async def give_back(core: Core, token: str) -> None:
    """What was leased to a notifier that has gone is there for the next one, or for the same when it's back. Where the
    database is away just now, as soon as that is back."""
    core.abandoned.add(token)
    try:
        await give_back_abandoned(core)
    except Exception:
        log.warning("what a notifier left behind is given back later, or sent again when its lease ends", exc_info=True)


async def give_back_abandoned(core: Core) -> None:
    """Gives back all that notifiers have left behind."""
    tokens = sorted(core.abandoned)

    def work(session: Session) -> None:
        for token in tokens:
            outbox.give_back(session, token)

    await core.database.write(work, repeatable=True)
    core.abandoned.difference_update(tokens)
    core.outbox_changed.announce()
