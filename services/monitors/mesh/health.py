"""Health as orchestrators and clients ask for it (grpc.health.v1).

Clients that balance between replicas watch the health of each (`healthCheckConfig` of the contract's service config),
so that a replica that ends gets no new calls before it refuses them. The library's servicer writes to its context
instead of yielding, so that nothing can stand around it, and its watchers keep a server from ending.
"""

from collections.abc import AsyncIterator
from typing import Any

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthServicer, add_HealthServicer_to_server

from monitors.mesh.events import Changes

ALIVE = "alive"
"""Under this name health says that the process is alive and takes calls, whether or not it can serve. Whatever else it
says is whether it can. Clients watch this one: why a service can't serve is told by its answers."""


class Health(HealthServicer):
    """What each name's health is, told to whoever asks or watches."""

    def __init__(self) -> None:
        self.watcher_count = 0
        self._status: dict[str, int] = {}
        self._changes = Changes()
        self._is_leaving = self._has_ended = False

    def add_to(self, server: grpc.aio.Server) -> None:
        """Adds the servicer."""
        add_HealthServicer_to_server(self, server)

    def tell(self, *names: str, serving: bool) -> None:
        """From now on these names are served, or aren't; nothing is once it's leaving."""
        if not self._is_leaving:
            status = HealthCheckResponse.SERVING if serving else HealthCheckResponse.NOT_SERVING
            self._status |= dict.fromkeys(names, status)
            self._changes.wake()

    def leave(self) -> None:
        """From now on nothing is served, for good."""
        self.tell(*self._status, serving=False)
        self._is_leaving = True

    def end(self) -> None:
        """Ends the streams of whoever watches."""
        self._has_ended = True
        self._changes.wake()

    async def Check(self, request: HealthCheckRequest, context: Any) -> HealthCheckResponse:
        """Says how a name is now. NOT_FOUND for names that were never told."""
        if request.service not in self._status:
            await context.abort(grpc.StatusCode.NOT_FOUND, "nothing of this name is served here")
        return HealthCheckResponse(status=self._status[request.service])

    async def Watch(self, request: HealthCheckRequest, context: Any) -> AsyncIterator[HealthCheckResponse]:
        """Says how a name is, now and whenever that changes."""
        said = None
        self.watcher_count += 1
        try:
            while not self._has_ended:
                upcoming = self._changes.upcoming
                status = self._status.get(request.service, HealthCheckResponse.SERVICE_UNKNOWN)
                if status != said:
                    said = status
                    yield HealthCheckResponse(status=status)
                await upcoming.wait()
        finally:
            self.watcher_count -= 1
