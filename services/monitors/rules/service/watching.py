"""RuleService for those who follow the rules: a snapshot, then every change."""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from google.protobuf.message import Message

from monitors.mesh.database import Session
from monitors.mesh.errors import RevisionTooOld
from monitors.rules.service.base import Part
from monitors.rules.store import counters, watching
from monitors.rules.translate.alerts import episode_to_proto
from monitors.rules.translate.watching import encode_rules
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

RULES_A_PAGE = 1000


class WatchCalls(Part):
    """What those who follow the rules need."""

    async def WatchRules(self, request: pb.WatchRulesRequest, context: Any) -> AsyncIterator[Any]:
        """All rules, then every change: WatchRulesResponses, those of the snapshot serialised already."""
        seen = request.start_revision
        if seen <= 0:
            seen = await self.core.database.read(lambda session: counters.current(session, counters.REVISION))
            async for serialised in self._snapshot():
                yield serialised
            # What has changed meanwhile comes again, as changes after this.
            yield pb.WatchRulesResponse(revision=seen, snapshot_complete=True)
        elif not await self.core.database.read(lambda session: watching.can_resume(session, seen)):
            raise RevisionTooOld(seen)

        async def look() -> tuple[list[pb.WatchRulesResponse], bool]:
            nonlocal seen
            messages, is_more = await self.core.database.read(lambda session: _changes(session, seen))
            seen = messages[-1].revision
            return messages if any(map(_says_something, messages)) else [], is_more

        sign_of_life = pb.WatchRulesResponse()
        async for message in self.follow([self.core.rules_changed], look, sign_of_life):
            if message is sign_of_life:
                message.revision = seen
            yield message

    async def _snapshot(self) -> AsyncIterator[bytes]:
        after = 0

        def page(session: Session) -> tuple[list[bytes], int]:
            bodies = watching.snapshot_page(session, after, RULES_A_PAGE)
            return list(encode_rules(bodies)), bodies[-1][-1] if bodies else after

        while True:
            messages, after = await self.core.database.read(page)
            if not messages:
                return
            for message in messages:
                yield message


def _changes(session: Session, revision: int) -> tuple[list[pb.WatchRulesResponse], bool]:
    """What happened after a revision; the last message says up to which. And whether there is more after that."""
    changes = watching.changes_since(session, revision, RULES_A_PAGE)
    messages = [pb.WatchRulesResponse.FromString(message) for message in encode_rules(changes.rules)]
    messages = messages or [pb.WatchRulesResponse()]
    messages[-1].deleted.extend(
        mesh_pb2.DeletedRule(tenant_id=tenant, rule_id=rule_id) for tenant, rule_id in changes.deleted
    )
    messages[-1].resolved.extend(map(episode_to_proto, changes.resolved))
    messages[-1].revision = changes.revision
    return messages, changes.more


def _says_something(message: pb.WatchRulesResponse) -> bool:
    return bool(message.rules or message.deleted or message.resolved)


def add_watch_to(servicer: WatchCalls, server: grpc.aio.Server) -> None:
    """Lets WatchRules answer with messages that are serialised already. To be called after the servicer was added as
    a whole: of two handlers of a method the later serves."""
    handler = grpc.unary_stream_rpc_method_handler(
        servicer.WatchRules,
        request_deserializer=pb.WatchRulesRequest.FromString,
        response_serializer=_serialize,
    )
    server.add_registered_method_handlers("monitors.v1.RuleService", {"WatchRules": handler})


def _serialize(message: Message | bytes) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()
