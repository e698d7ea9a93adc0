"""Keeps RuleService's list of channels true, so that it can refuse a rule that names none and say which tell nobody."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.channels import failure_of, unavailable
from monitors.mesh.database import Database, Session
from monitors.mesh.errors import ServiceUnavailable
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.model.channel import Channel
from monitors.notifier.store.channels import ChannelStore
from monitors.v1.mesh_pb2 import ChannelName, ChannelState
from monitors.v1.rule_service_pb2 import MirrorChannelsRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
PAUSE_SECONDS = 30.0
"""How often it's looked for channels that somebody else has changed: who was verified, or what was turned off."""


class Mirror:
    """Publishes names. Whoever changes channels holds `lock` from reading to committing, so that the last one wins."""

    def __init__(self, database: Database, channels: ChannelStore, rules: "RuleServiceAsyncStub") -> None:
        self.lock = asyncio.Lock()
        self._database = database
        self._channels = channels
        self._rules = rules
        self._published: dict[str, tuple[int, int]] = {}
        """Which versions of the tenants' channels are known there."""
        self._changed = asyncio.Event()

    def look(self) -> None:
        """A channel may have changed."""
        self._changed.set()

    async def publish(self, tenant: str, channels: Sequence[Channel], *, wait: bool = False) -> None:
        """Makes these the tenant's names. `wait` gives RuleService a moment to come. Raises ServiceUnavailable."""
        request = MirrorChannelsRequest(
            tenant_id=tenant,
            channels=[
                ChannelName(
                    name=channel.name,
                    kind=channel.kind,
                    is_default=channel.is_default,
                    state=ChannelState.ValueType(channel.reach),
                )
                for channel in channels
            ],
        )
        try:
            await self._rules.MirrorChannels(request, timeout=TIMEOUT_SECONDS, wait_for_ready=wait)
        except grpc.aio.AioRpcError as error:
            if not wait:
                # Who waits for RuleService says once that it's away, and not at each try.
                log.warning("channel names can't be mirrored: %s", failure_of(error))
            raise unavailable(error, "rules") from error

    async def publish_stored(self, tenant: str, *, wait: bool = False) -> None:
        """Makes the stored channels the tenant's names. The caller holds the lock. Raises ServiceUnavailable."""

        def work(session: Session) -> list[Channel]:
            with of_tenant(session, tenant):
                return self._channels.list_all(session, tenant)

        await self.publish(tenant, await self._database.read(work), wait=wait)

    async def publish_all(self) -> None:
        """Makes the stored channels of all tenants their names. Raises ServiceUnavailable."""
        self._published = {}
        await self._publish_changed(wait=True)

    async def _publish_changed(self, *, wait: bool) -> None:
        for tenant, version in (await self._database.read(self._channels.versions)).items():
            if self._published.get(tenant) != version:
                async with self.lock:
                    await self.publish_stored(tenant, wait=wait)
                self._published[tenant] = version

    async def run(self) -> None:
        """Publishes what has changed, until it's cancelled."""
        while True:
            # asyncio.wait_for would forget a cancellation that comes along with the change.
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._publish_changed(wait=False)
            except ServiceUnavailable:
                # All are published when it's back.
                continue
            except Exception as error:
                log.warning("channels can't be mirrored; trying again: %s", error)
