"""`alerts://firing` by push: RuleService's alerts are followed for each caller for as long as that caller listens."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import grpc
from anyio.abc import TaskGroup
from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_REQUEST, SubscriptionsListenRequestParams, SubscriptionsListenResult

from monitors.bridge.client import Caller
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.toolkit import caller_of
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    from monitors.bridge.toolkit import Bridge

log = logging.getLogger(__name__)

FIRING = "alerts://firing"
MOST_LISTENERS = 100
# A listener is let in once its alerts are followed, so that it misses none; or, while the mesh is away, after this.
PATIENCE_SECONDS = 2.0
# Many alerts at once are one update: a listener reads all of them anyway.
PAUSE_SECONDS = 0.25
FIRST_RETRY_SECONDS, LONGEST_RETRY_SECONDS = 0.1, 2.0
# What the bridge states of a caller holds for a minute, and so does a stream that began with it. Its successor begins
# before that, and both go on for a while, so that a change which one didn't tell any more is told by the other.
RENEW_SECONDS, OVERLAP_SECONDS = 45.0, 5.0
# What trying again doesn't mend.
_REFUSALS = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNIMPLEMENTED)


async def listen(
    context: ServerRequestContext[Bridge, Any], params: SubscriptionsListenRequestParams
) -> SubscriptionsListenResult:
    """Serves `subscriptions/listen`, until the client goes. Raises MCPError for a credential that isn't let in."""
    push, params = context.lifespan_context.push, _only_what_is_pushed(params)
    if not params.notifications.resource_subscriptions:
        return await push.quiet(context, params)
    try:
        return await push.serve(caller_of(Context(request_context=context)), context, params)
    except BridgeError as error:
        raise MCPError(INVALID_REQUEST, str(error)) from None


@asynccontextmanager
async def open_push() -> AsyncIterator[Push]:
    """Push for as long as the server runs."""
    async with anyio.create_task_group() as tasks:
        yield Push(tasks)
        tasks.cancel_scope.cancel()


class Push:
    """A feed for each caller who listens. None hears of another's: each feed asks with its caller's own credential."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._feeds: dict[Caller, Feed] = {}
        self.quiet = ListenHandler(InMemorySubscriptionBus())
        """Serves those who listen only to what never changes, such as the list of tools."""

    async def serve(
        self, caller: Caller, context: ServerRequestContext[Bridge, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serves one listener. Raises BridgeError if RuleService refuses the caller."""
        with self._joined(caller) as feed:
            await feed.ready()
            return await feed.streams(context, params)

    @contextmanager
    def _joined(self, caller: Caller) -> Iterator[Feed]:
        feed = self._feeds.get(caller)
        if feed is None:
            feed = self._feeds[caller] = Feed(caller)
            self._tasks.start_soon(feed.run)
        feed.listeners += 1
        try:
            yield feed
        finally:
            feed.listeners -= 1
            if not feed.listeners:
                del self._feeds[caller]
                feed.scope.cancel()

    def close(self) -> None:
        """Ends all listening as the protocol wants it, so that clients needn't take it for a lost connection."""
        for streams in (self.quiet, *(feed.streams for feed in self._feeds.values())):
            streams.close()


class Feed:
    """Follows the alerts of one caller and tells that caller's listeners that they changed."""

    def __init__(self, caller: Caller) -> None:
        self.bus = InMemorySubscriptionBus()
        """What its listeners are told by."""
        self.streams = ListenHandler(self.bus, max_subscriptions=MOST_LISTENERS)
        self.listeners = 0
        self.scope = anyio.CancelScope()
        self._caller = caller
        self._settled = anyio.Event()
        self._changed = anyio.Event()
        self._refusal: BridgeError | None = None
        # How many streams have begun and go on.
        self._following = 0
        self._retry = FIRST_RETRY_SECONDS

    async def ready(self) -> None:
        """Returns once changes are told, or the mesh has been away for a while. Raises BridgeError for a refusal."""
        with anyio.move_on_after(PATIENCE_SECONDS):
            await self._settled.wait()
        self._settled.set()
        if self._refusal:
            raise self._refusal

    async def run(self) -> None:
        """Follows and tells until `scope` is cancelled, or RuleService refuses the caller, which ends its streams."""
        with self.scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tell)
                self._refusal = await self._follow()
                tasks.cancel_scope.cancel()
            self._settled.set()
            self.streams.close()

    async def _follow(self) -> BridgeError:
        """Follows, whatever breaks, and returns what forbids to go on."""
        while True:
            try:
                await (self._follow_in_turns() if self._caller.vouch else self._follow_stream())
            except RpcFailed as error:
                if error.code in _REFUSALS:
                    return error
            except Exception:
                # It would end the server, whose other callers have nothing to do with it.
                log.exception("following alerts failed")
                return BridgeError("Alerts can't be followed by a fault of the bridge; its log says why.")
            await anyio.sleep(self._retry * random.uniform(0.5, 1))
            self._retry = min(2 * self._retry, LONGEST_RETRY_SECONDS)

    async def _follow_stream(self, began: Callable[[], None] | None = None) -> None:
        """Follows one stream until the mesh ends it; `began` is called at its first message. Raises RpcFailed."""
        changes = self._caller.follow(self._caller.stub.WatchAlerts, pb.WatchAlertsRequest())
        has_begun = False
        try:
            async with aclosing(changes):
                async for change in changes:
                    if not has_begun:
                        has_begun = True
                        self._note_beginning()
                        if began:
                            began()
                    if change.HasField("alert"):
                        self._changed.set()
        finally:
            self._following -= has_begun

    async def _follow_in_turns(self) -> None:
        """Follows one stream after another, each with a statement of its own, until the newest ends. Raises
        RpcFailed."""
        failures: list[RpcFailed] = []
        turns: list[anyio.CancelScope] = []
        async with anyio.create_task_group() as tasks:

            async def relieve(earlier: Sequence[anyio.CancelScope]) -> None:
                await anyio.sleep(OVERLAP_SECONDS)
                for turn in earlier:
                    turn.cancel()

            async def take(turn: anyio.CancelScope) -> None:
                earlier = tuple(turns[:-1])

                def began() -> None:
                    tasks.start_soon(relieve, earlier)

                with turn:
                    try:
                        await self._follow_stream(began)
                    except RpcFailed as error:
                        # That an earlier one isn't let go on says nothing of the newest.
                        if turn is turns[-1]:
                            failures.append(error)
                if turn is turns[-1]:
                    tasks.cancel_scope.cancel()
                elif self._following and not turn.cancelled_caught:
                    # A change from before the newest began may be what it didn't come to tell.
                    self._changed.set()
                turns.remove(turn)

            while True:
                turns.append(anyio.CancelScope())
                tasks.start_soon(take, turns[-1])
                await anyio.sleep(RENEW_SECONDS)
        if failures:
            raise failures[0]

    def _note_beginning(self) -> None:
        # What happened while nobody followed isn't known, so whoever listened meanwhile must look.
        if self._settled.is_set() and not self._following:
            self._changed.set()
        self._settled.set()
        self._following += 1
        self._retry = FIRST_RETRY_SECONDS

    async def _tell(self) -> None:
        while True:
            await self._changed.wait()
            self._changed = anyio.Event()
            await self.bus.publish(ResourceUpdated(uri=FIRING))
            await anyio.sleep(PAUSE_SECONDS)


def _only_what_is_pushed(params: SubscriptionsListenRequestParams) -> SubscriptionsListenRequestParams:
    """The request without resources that aren't pushed, so that the acknowledgement promises nothing too much."""
    asked = params.notifications.resource_subscriptions or []
    pushed = params.notifications.model_copy(update={"resource_subscriptions": [uri for uri in asked if uri == FIRING]})
    return params.model_copy(update={"notifications": pushed})
