"""The whole mesh in one process: three services on one server, speaking to each other through a unix socket.

It's the same code as in separate processes, only the addresses differ.
"""

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass

from monitors.app.metrics import counting, open_metrics
from monitors.app.tls import certificates_of
from monitors.evaluator.main import Evaluator, open_evaluator
from monitors.evaluator.polling.opening import Polling
from monitors.mesh.channels import open_channel
from monitors.mesh.config import LOCAL_TENANT, Settings
from monitors.mesh.guesses import Guesses
from monitors.mesh.identity import CachedAuthenticator, with_service_token
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.server import MeshServer
from monitors.mesh.shared import open_shared
from monitors.mesh.statements import with_statements
from monitors.notifier.main import Notifier, open_notifier
from monitors.rules.main import Rules, open_rules


@dataclass(frozen=True)
class Mesh:
    """A running mesh and where it listens."""

    rules: Rules
    evaluator: Evaluator
    notifier: Notifier
    key: str = dataclasses.field(repr=False)
    grpc_port: int
    http_port: int
    metrics_url: str = ""
    """Where metrics are read; empty if they aren't exported."""


@asynccontextmanager
async def open_mesh(settings: Settings, closing: asyncio.Event, console: Callable[[str], None]) -> AsyncIterator[Mesh]:
    """Opens everything and closes it in order. `closing` is set when it ends. Raises PortTaken, DatabaseUnusable,
    BadSetting."""
    with _polling_of(settings) as polling:
        async with _opened(settings, polling, closing, console) as mesh:
            yield mesh


def _polling_of(settings: Settings) -> AbstractContextManager[Polling | None]:
    """The InfluxDB to read from and write to, if one is named. Only then its languages are loaded."""
    if not settings.influxdb_url:
        return nullcontext()
    from monitors.app.sources import polling_of

    return polling_of(settings)


@asynccontextmanager
async def _opened(
    settings: Settings, polling: Polling | None, closing: asyncio.Event, console: Callable[[str], None]
) -> AsyncIterator[Mesh]:
    # The token lives in memory only, and the socket in a folder that is ours alone.
    token = secrets.token_urlsafe(32)
    target = f"unix:{settings.socket}"
    settings.socket.unlink(missing_ok=True)
    async with (
        open_metrics(settings.metrics) as metrics,
        open_shared(settings.redis) as shared,
        open_channel(target, token) as channel,
        open_rules(settings.rules, closing, channel, shared.wakeups) as rules,
    ):
        if not rules.is_shared:
            await rules.void_leases()
        key = await rules.ensure_local_key(settings.key_file)
        users = CachedAuthenticator(rules.authenticate)
        vouched = with_statements([each.reveal() for each in settings.rules.bridge_secrets], rules.tier_of, users)
        authenticate = with_service_token(token, vouched)
        quota, guesses = RequestQuota(shared.buckets, settings.quotas), Guesses(shared.buckets)
        server = MeshServer(
            authenticate, closing, quota, guesses, outermost=counting(metrics), certificates=certificates_of(settings)
        )
        evaluator_settings = dataclasses.replace(settings.evaluator, address=target, is_only=not rules.is_shared)
        notifier_settings = dataclasses.replace(settings.notifier, allow_local_targets=True)
        try:
            async with (
                open_evaluator(evaluator_settings, channel, authenticate, closing, shared, polling) as evaluator,
                open_notifier(notifier_settings, channel, closing, console, shows_all=True, shared=shared) as notifier,
            ):
                for service in (rules, evaluator, notifier):
                    server.host(service)
                    if metrics:
                        service.export(metrics)
                addresses = [f"{settings.host}:{settings.grpc_port}", target]
                grpc_port, _ = await server.start(
                    addresses, variable="MONITORS_GRPC_PORT", health_address=settings.health_address
                )
                await notifier.ensure_console(LOCAL_TENANT)
                url = metrics.url if metrics else ""
                yield Mesh(rules, evaluator, notifier, key, grpc_port, evaluator.http_port, url)
        finally:
            # The evaluator's last word, its state, has been said by now: RuleService had to be there for it.
            closing.set()
            await server.stop()
