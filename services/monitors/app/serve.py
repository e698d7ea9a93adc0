"""`monitors serve`: one service in one process, found by the others at the addresses in the environment."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Protocol

import grpc

from monitors.app.home import held_home
from monitors.app.lifetime import explain, run_until_closed, settle
from monitors.app.logs import log_to_terminal
from monitors.app.metrics import counting, open_metrics
from monitors.app.tls import certificates_of, https_of
from monitors.app.tracing import tracing
from monitors.app.waiting import opened_in_time
from monitors.mesh.channels import open_channel, refusal_of, unavailable
from monitors.mesh.config import LOCAL_TENANT, BadSetting, Settings
from monitors.mesh.config.values import GRPC_TARGET_FORMS
from monitors.mesh.errors import MeshError
from monitors.mesh.guesses import Guesses
from monitors.mesh.identity import Authenticate, Principal, with_service_token
from monitors.mesh.known_callers import remembered
from monitors.mesh.principals import principal_from_proto
from monitors.mesh.quotas import UNLIMITED
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.server import DRAIN_SECONDS, Hosted, MeshServer, waiting
from monitors.mesh.shared import Shared, open_shared
from monitors.mesh.statements import with_statements
from monitors.mesh.tls import Certificates
from monitors.v1.rule_service_pb2 import AuthenticateRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

if TYPE_CHECKING:
    from monitors.mesh.metrics.exposition import Metrics
    from monitors.rules.main import Rules


class Served(Hosted, Protocol):
    """A service in a process of its own."""

    async def why_unready(self) -> str:
        """What keeps it from serving now; empty if nothing does."""

    def export(self, metrics: "Metrics") -> None:
        """Counts what happens from now on, and lets it be read how it fares."""


SERVICES = ("rules", "evaluator", "notifier")
RECORDING_SECONDS = 5.0
"""What a notifier that ends has for recording its last attempts, also if its database is started again just then."""


def run_serve(settings: Settings, service: str) -> int:
    """Runs `rules`, `evaluator` or `notifier` until a signal ends it. Returns the exit code."""
    missing = _missing(settings, service)
    if missing:
        return explain(BadSetting(missing))
    log_to_terminal(settings.log_format)
    with tracing(settings.tracing, f"monitors-{service}"):
        return run_until_closed(lambda closing: _serve(settings, service, closing))


def _missing(settings: Settings, service: str) -> str:
    """What isn't set and has to be; empty if all is."""
    if not settings.service_token:
        return (
            "MONITORS_SERVICE_TOKEN is not set; give the three services the same long random token "
            "(for example from `openssl rand -hex 32`), by which they know each other"
        )
    if service != "rules" and not settings.rules_address:
        return f"MONITORS_RULES_ADDRESS is not set; the {service} needs RuleService's gRPC address: {GRPC_TARGET_FORMS}"
    return ""


async def _serve(settings: Settings, service: str, closing: asyncio.Event) -> None:
    # `monitors up` mustn't have the databases in this folder open too; the other services may.
    with held_home(settings.home, shared=True), held_home(settings.home / service):
        opened, name = {
            "rules": (_rules, "monitors.v1.RuleService"),
            "evaluator": (_evaluator, "monitors.v1.EvaluatorService"),
            "notifier": (_notifier, "monitors.v1.NotifierService"),
        }[service]
        address = f"{settings.host}:{settings.grpc_port}"
        certificates = certificates_of(settings)

        def answering(name: str, reason: MeshError) -> AbstractAsyncContextManager[None]:
            return waiting(
                address, name, reason, variable="MONITORS_GRPC_PORT", certificates=certificates,
                health_address=settings.health_address,
            )  # fmt: skip

        async with (
            open_metrics(settings.metrics) as metrics,
            open_shared(settings.redis) as shared,
            AsyncExitStack() as stack,
        ):
            found = await opened_in_time(
                stack, lambda: opened(settings, closing, shared, certificates), name, closing, answering
            )
            if found is None:
                return
            hosted, authenticate = found
            quota, guesses = RequestQuota(shared.buckets, settings.quotas), Guesses(shared.buckets)
            server = MeshServer(
                authenticate,
                closing,
                quota,
                guesses,
                with_reflection=settings.has_reflection,
                outermost=counting(metrics),
                certificates=certificates,
            )
            server.host(hosted)
            if metrics:
                hosted.export(metrics)
                _print_line(f"metrics are read at {metrics.url}")
            await server.start(
                [address],
                variable="MONITORS_GRPC_PORT",
                health_address=settings.health_address,
                why_unready=await hosted.why_unready(),
            )
            print(f"monitors {service} on {address}", flush=True)  # noqa: T201
            settle()
            telling = asyncio.create_task(server.tell_readiness(hosted.why_unready))
            await closing.wait()
            await server.stop(DRAIN_SECONDS)
            await telling


@asynccontextmanager
async def _rules(
    settings: Settings, closing: asyncio.Event, shared: Shared, certificates: Certificates | None
) -> AsyncIterator[tuple[Served, Authenticate]]:
    from monitors.rules.main import open_rules

    async with (
        open_channel(settings.evaluator_address, settings.service_token.reveal(), certificates) as evaluator,
        open_rules(settings.rules, closing, evaluator, shared.wakeups) as rules,
    ):
        await make_tenants(rules, settings)
        users = remembered(rules.authenticate, shared, settings.service_token.reveal())
        vouched = with_statements([each.reveal() for each in settings.rules.bridge_secrets], rules.tier_of, users)
        yield rules, with_service_token(settings.service_token.reveal(), vouched)


async def make_tenants(rules: "Rules", settings: Settings) -> None:
    """With their first keys, unless these are the operator's to make: a replica's folder ends with it, and each would
    leave a key behind that nobody has."""
    if not settings.rules.makes_first_keys:
        await rules.ensure_local_tenant()
        for tenant in settings.rules.tenants:
            await rules.ensure_tenant(tenant, settings.rules.tier_of(tenant))
        return
    files = {LOCAL_TENANT: (settings.key_file, UNLIMITED)} | {
        tenant: (settings.tenant_key_file(tenant), settings.rules.tier_of(tenant)) for tenant in settings.rules.tenants
    }
    for tenant, (file, tier) in files.items():
        anew = settings.rules.makes_first_keys_anew
        if elsewhere := await rules.first_keys.ensure(tenant, file, tier, anew=anew):
            _print_line(
                f"the first key of {tenant} was put into {elsewhere}; if it's lost there, start this once with "
                "MONITORS_MAKE_FIRST_KEYS=again"
            )


@asynccontextmanager
async def _evaluator(
    settings: Settings, closing: asyncio.Event, shared: Shared, certificates: Certificates | None
) -> AsyncIterator[tuple[Served, Authenticate]]:
    from monitors.app.sources import polling_of
    from monitors.evaluator.main import open_evaluator

    with polling_of(settings) as polling:
        async with open_channel(settings.rules_address, settings.service_token.reveal(), certificates) as rules:
            users = _users(settings, shared, rules)
            authenticate = with_service_token(settings.service_token.reveal(), users)
            # Over HTTP nobody shows a certificate, so nobody is a service there where that takes one.
            writers = users if certificates else authenticate
            evaluator_settings = dataclasses.replace(settings.evaluator, address=settings.evaluator_address)
            tls = https_of(settings, certificates)
            opening = open_evaluator(evaluator_settings, rules, writers, closing, shared, polling, tls)
            async with opening as evaluator:
                read = "read from InfluxDB, and " if polling else ""
                _print_line(
                    f"points are {read}taken at http{'s' if tls else ''}://{settings.host}:{evaluator.http_port}"
                )
                yield evaluator, authenticate


@asynccontextmanager
async def _notifier(
    settings: Settings, closing: asyncio.Event, shared: Shared, certificates: Certificates | None
) -> AsyncIterator[tuple[Served, Authenticate]]:
    from monitors.notifier.delivery import ATTEMPT_SECONDS
    from monitors.notifier.main import open_notifier

    # Whoever ends a process of several has time, and what is cut off would be told twice.
    stop_seconds = ATTEMPT_SECONDS + RECORDING_SECONDS
    async with open_channel(settings.rules_address, settings.service_token.reveal(), certificates) as rules:
        authenticate = with_service_token(settings.service_token.reveal(), _users(settings, shared, rules))
        async with open_notifier(
            settings.notifier, rules, closing, _print_line, shared=shared, stop_seconds=stop_seconds
        ) as notifier:
            yield notifier, authenticate


def _users(settings: Settings, shared: Shared, rules: grpc.aio.Channel) -> Authenticate:
    return remembered(remote_authenticator(rules), shared, settings.service_token.reveal())


def remote_authenticator(rules: grpc.aio.Channel) -> Authenticate:
    """Asks RuleService who a credential belongs to."""
    stub = RuleServiceStub(rules)

    async def authenticate(credential: str) -> Principal:
        try:
            answer = await stub.Authenticate(AuthenticateRequest(credential=credential))
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error) or unavailable(error, "rules") from error
        return principal_from_proto(answer.principal)

    return authenticate


def _print_line(line: str) -> None:
    print(line, flush=True)  # noqa: T201
