"""NotifierService for those who are told of some alerts only at some hours."""

from typing import Any

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session
from monitors.mesh.identity import current_tenant
from monitors.notifier.clock import Clock
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.model.timings import check_etag
from monitors.notifier.once import carry_out, once_of
from monitors.notifier.pages import list_of, make_token, page_limit, read_token
from monitors.notifier.store import repeats
from monitors.notifier.store import timings as store
from monitors.notifier.store.requests import RequestStore
from monitors.notifier.timings import from_timing, read_change, read_timing
from monitors.v1 import notifier_service_pb2 as pb


class MuteTimingCalls:
    """What concerns mute timings. A change is followed at once: what isn't muted any more is told, if it fires."""

    _database: Database
    _requests: RequestStore
    _dispatcher: Dispatcher
    _clock: Clock

    async def CreateMuteTiming(self, request: pb.CreateMuteTimingRequest, context: Any) -> pb.CreateMuteTimingResponse:
        """Makes a mute timing."""
        once, now = once_of(request), self._clock.now()
        timing = read_timing(request.mute_timing, once.tenant, now)

        def work(session: Session) -> tuple[pb.CreateMuteTimingResponse, list[Change]]:
            store.insert_timing(session, timing)
            made = from_timing(timing)
            return pb.CreateMuteTimingResponse(mute_timing=made), [Change("mute_timing", timing.id, None, made)]

        answer = await carry_out(self._database, self._requests, once, now, work)
        return pb.CreateMuteTimingResponse.FromString(answer)

    async def ListMuteTimings(self, request: pb.ListMuteTimingsRequest, context: Any) -> pb.ListMuteTimingsResponse:
        """Shows mute timings, by name."""
        tenant, limit = current_tenant(), page_limit(request.page_size)
        which = list_of(tenant, "mute timings")
        position = read_token(request.page_token, which, [str])
        after = str(position[0]) if position else ""
        found = await self._database.read(lambda session: store.list_page(session, tenant, after, limit + 1))
        response = pb.ListMuteTimingsResponse(mute_timings=map(from_timing, found[:limit]))
        if len(found) > limit:
            response.next_page_token = make_token([found[limit - 1].name], which)
        return response

    async def UpdateMuteTiming(self, request: pb.UpdateMuteTimingRequest, context: Any) -> pb.UpdateMuteTimingResponse:
        """Changes a mute timing."""
        once, now = once_of(request), self._clock.now()

        def work(session: Session) -> tuple[pb.UpdateMuteTimingResponse, list[Change]]:
            before = store.get(session, once.tenant, request.mute_timing.id)
            check_etag(before, request.mute_timing.etag)
            after = read_change(request, before)
            store.update_timing(session, after)
            repeats.look_again(session, once.tenant, now)
            changed = from_timing(after)
            changes = [Change("mute_timing", after.id, from_timing(before), changed)] if after != before else []
            return pb.UpdateMuteTimingResponse(mute_timing=changed), changes

        answer = await carry_out(self._database, self._requests, once, now, work)
        self._dispatcher.look()
        return pb.UpdateMuteTimingResponse.FromString(answer)

    async def DeleteMuteTiming(self, request: pb.DeleteMuteTimingRequest, context: Any) -> pb.DeleteMuteTimingResponse:
        """Deletes a mute timing."""
        once, now = once_of(request), self._clock.now()

        def work(session: Session) -> tuple[pb.DeleteMuteTimingResponse, list[Change]]:
            before = store.get(session, once.tenant, request.mute_timing_id)
            check_etag(before, request.etag)
            store.delete_timing(session, before)
            repeats.look_again(session, once.tenant, now)
            return pb.DeleteMuteTimingResponse(), [Change("mute_timing", before.id, from_timing(before))]

        answer = await carry_out(self._database, self._requests, once, now, work)
        self._dispatcher.look()
        return pb.DeleteMuteTimingResponse.FromString(answer)
