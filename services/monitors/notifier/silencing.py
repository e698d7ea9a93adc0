"""NotifierService for those who don't want to be told of something for a while."""

from typing import Any

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session
from monitors.mesh.identity import current_tenant
from monitors.notifier.clock import Clock
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.model.silences import check_etag, ended
from monitors.notifier.once import carry_out, once_of
from monitors.notifier.pages import list_of, make_token, page_limit, read_token
from monitors.notifier.silences import from_silence, read_change, read_silence
from monitors.notifier.store import repeats
from monitors.notifier.store import silences as store
from monitors.notifier.store.requests import RequestStore
from monitors.v1 import notifier_service_pb2 as pb


class SilenceCalls:
    """What concerns silences. A change is followed at once: what isn't silenced any more is told, if it still fires."""

    _database: Database
    _requests: RequestStore
    _dispatcher: Dispatcher
    _clock: Clock

    async def CreateSilence(self, request: pb.CreateSilenceRequest, context: Any) -> pb.CreateSilenceResponse:
        """Makes a silence."""
        once, now = once_of(request), self._clock.now()
        silence = read_silence(request.silence, once.tenant, once.actor.user, now)

        def work(session: Session) -> tuple[pb.CreateSilenceResponse, list[Change]]:
            store.insert_silence(session, silence, now)
            made = from_silence(silence)
            return pb.CreateSilenceResponse(silence=made), [Change("silence", silence.id, None, made)]

        answer = await carry_out(self._database, self._requests, once, now, work)
        return pb.CreateSilenceResponse.FromString(answer)

    async def ListSilences(self, request: pb.ListSilencesRequest, context: Any) -> pb.ListSilencesResponse:
        """Shows silences, newest first."""
        tenant, limit, now = current_tenant(), page_limit(request.page_size), self._clock.now()
        which = list_of(tenant, f"silences {request.include_expired}")
        position = read_token(request.page_token, which, [int, str])
        before = (int(position[0]), str(position[1])) if position else None
        found = await self._database.read(
            lambda session: store.list_page(
                session, tenant, now, before, limit + 1, include_expired=request.include_expired
            )
        )
        response = pb.ListSilencesResponse(silences=map(from_silence, found[:limit]))
        if len(found) > limit:
            response.next_page_token = make_token([found[limit - 1].create_time, found[limit - 1].id], which)
        return response

    async def UpdateSilence(self, request: pb.UpdateSilenceRequest, context: Any) -> pb.UpdateSilenceResponse:
        """Changes a silence that isn't over."""
        once, now = once_of(request), self._clock.now()

        def work(session: Session) -> tuple[pb.UpdateSilenceResponse, list[Change]]:
            before = store.get(session, once.tenant, request.silence.id)
            check_etag(before, request.silence.etag)
            after = read_change(request, before, now)
            store.update_silence(session, after)
            repeats.look_again(session, once.tenant, now)
            changed = from_silence(after)
            changes = [Change("silence", after.id, from_silence(before), changed)] if after != before else []
            return pb.UpdateSilenceResponse(silence=changed), changes

        answer = await carry_out(self._database, self._requests, once, now, work)
        self._dispatcher.look()
        return pb.UpdateSilenceResponse.FromString(answer)

    async def DeleteSilence(self, request: pb.DeleteSilenceRequest, context: Any) -> pb.DeleteSilenceResponse:
        """Ends a silence. One that is over stays so."""
        once, now = once_of(request), self._clock.now()

        def work(session: Session) -> tuple[pb.DeleteSilenceResponse, list[Change]]:
            before = store.get(session, once.tenant, request.silence_id)
            check_etag(before, request.etag)
            if before.end <= now:
                return pb.DeleteSilenceResponse(), []
            after = ended(before, now)
            store.update_silence(session, after)
            repeats.look_again(session, once.tenant, now)
            return pb.DeleteSilenceResponse(), [Change("silence", after.id, from_silence(before), from_silence(after))]

        answer = await carry_out(self._database, self._requests, once, now, work)
        self._dispatcher.look()
        return pb.DeleteSilenceResponse.FromString(answer)
