"""Starts RuleService as the product does, on a database of its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from monitors.mesh.channels import open_channel
from monitors.mesh.config import POLL_SECONDS, RulesSettings
from monitors.mesh.guesses import Guesses
from monitors.mesh.identity import CachedAuthenticator, with_service_token
from monitors.mesh.identity.settings import NOBODY_ELSE, IdentitySettings
from monitors.mesh.quotas import Tiers
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.server import MeshServer
from monitors.mesh.shared import Shared
from monitors.mesh.statements import with_statements
from monitors.rules.main import Rules, open_rules
from tests.servers.backends import database_url

SERVICE_TOKEN = "mesh-token"


@dataclass
class Running:
    """A RuleService that runs."""

    port: int
    rules: Rules
    local_key: str


@asynccontextmanager
async def running(
    folder: Path,
    evaluator: str = "",
    port: int = 0,
    bridge_secrets: tuple[str, ...] = (),
    *,
    url: str = "",
    poll_seconds: float = POLL_SECONDS,
    shared: Shared | None = None,
    quotas: Tiers | None = None,
    identity: IdentitySettings = NOBODY_ELSE,
) -> AsyncIterator[Running]:
    """RuleService on a database in `folder`, or at `url`. `evaluator` is the address of an EvaluatorService; port 0 is
    any free one. `shared` is what it shares with other processes, `identity` who else says who somebody is."""
    closing, shared, quotas = asyncio.Event(), shared or Shared(), quotas or Tiers()
    channel = open_channel(evaluator, SERVICE_TOKEN) if evaluator else None
    settings = RulesSettings(
        url or database_url(folder / "rules.db"), poll_seconds=poll_seconds, quotas=quotas, identity=identity
    )
    async with open_rules(settings, closing, channel, shared.wakeups) as rules:
        key = await rules.ensure_local_key(folder / "home" / "key")
        users = CachedAuthenticator(rules.authenticate)
        vouched = with_statements(bridge_secrets, rules.tier_of, users)
        quota = RequestQuota(shared.buckets, quotas)
        server = MeshServer(with_service_token(SERVICE_TOKEN, vouched), closing, quota, Guesses(shared.buckets))
        server.host(rules)
        (port,) = await server.start([f"127.0.0.1:{port}"], variable="MONITORS_GRPC_PORT")
        yield Running(port, rules, key)
        await server.stop()
    if channel:
        await channel.close()
