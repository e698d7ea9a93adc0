"""TLS between services: whose certificates are taken, who is a service, and certificates that change meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from monitors.app.probe import main as probe
from monitors.bridge import tls as looking_in_the_bridge
from monitors.bridge.client import channel_to
from monitors.bridge.settings import MeshSettings, TlsFiles
from monitors.mesh.channels import open_channel
from monitors.mesh.config import TlsSettings
from monitors.mesh.errors import StorageUnavailable
from monitors.mesh.identity import current_principal, with_service_token
from monitors.mesh.server import MeshServer, waiting
from monitors.mesh.tls import Certificates, CertificatesUnusable
from monitors.mesh.tls import certificates as looking
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.certificates import Authority
from tests.harness import LoopThread
from tests.mesh.test_server import Probe, authenticate, bearer
from tests.ports import free_port

SERVICES = frozenset({"evaluator.alerting.svc", "rules.alerting.svc"})
TOKEN = "mesh-token"


class Rules(Probe):
    """Answers with the certificate's serial by which it was called, and watches until it's told to end."""

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        [certificate] = context.auth_context()["x509_pem_cert"]
        return pb.GetRuleResponse(rule=Rule(id=str(hash(certificate)), title=current_principal().user))

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        while True:
            yield pb.WatchAlertsResponse()
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for the next look at the files."""
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(looking_in_the_bridge, "LOOK_SECONDS", 0.0)


class World:
    """A server, with folders of certificates by one authority."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder / "authority")
        self.server = self.certificates("rules", "rules.alerting.svc")

    def certificates(self, name: str, *names: str, authority: Authority | None = None) -> Certificates:
        """A process' certificates, in a folder of their own."""
        issuer = authority or self.authority
        certificate, key = issuer.issue(self.folder / name, *names)
        return Certificates(TlsSettings(certificate, key, self.authority.file, SERVICES))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """The server's address."""
        server = MeshServer(with_service_token(TOKEN, authenticate), asyncio.Event(), certificates=self.server)
        server.host(Rules())  # type: ignore[abstract]  # what it lacks answers UNIMPLEMENTED
        (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        yield f"127.0.0.1:{port}"
        await server.stop()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def address(world: World, loop_thread: LoopThread) -> Iterator[str]:
    with loop_thread.opened(world.serving()) as address:
        yield address


def call(loop_thread: LoopThread, address: str, certificates: Certificates | None, token: str = TOKEN) -> Any:
    """The answer to one call, or the status that refused it."""

    async def once() -> Any:
        async with open_channel(address, token, certificates) as channel:
            try:
                return (await RuleServiceStub(channel).GetRule(pb.GetRuleRequest(), timeout=10)).rule.title
            except grpc.aio.AioRpcError as error:
                return error.code(), error.details()

    return loop_thread.run(once())


def test_a_service_is_known_by_its_token_and_its_certificate(
    world: World, address: str, loop_thread: LoopThread
) -> None:
    mine = world.certificates("evaluator", "evaluator.alerting.svc")
    assert call(loop_thread, address, mine) == "mesh"


def test_the_token_alone_makes_nobody_a_service(world: World, address: str, loop_thread: LoopThread) -> None:
    foreign = world.certificates("team", "checkout.shop.svc")
    code, details = call(loop_thread, address, foreign)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "MONITORS_TLS_SERVICES" in details
    assert TOKEN not in details


def test_a_team_with_a_certificate_of_its_own_calls_with_its_key(
    world: World, address: str, loop_thread: LoopThread
) -> None:
    assert call(loop_thread, address, world.certificates("team", "checkout.shop.svc"), "reader") == "ann"


def test_who_has_no_certificate_or_one_of_another_authority_is_not_let_in(
    world: World, address: str, loop_thread: LoopThread, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other")
    forged = world.certificates("forged", "evaluator.alerting.svc", authority=other)
    for certificates in (None, forged):
        code, _ = call(loop_thread, address, certificates)
        assert code is grpc.StatusCode.UNAVAILABLE


def test_a_server_with_a_certificate_of_another_name_is_not_called(
    world: World, address: str, loop_thread: LoopThread
) -> None:
    mine = world.certificates("evaluator", "evaluator.alerting.svc")
    code, _ = call(loop_thread, address.replace("127.0.0.1", "localhost"), mine)
    assert code is grpc.StatusCode.UNAVAILABLE


def _of_a_service(world: World, address: str) -> grpc.aio.Channel:
    return open_channel(address, "reader", world.certificates("evaluator", "evaluator.alerting.svc"))


def _of_the_bridge(world: World, address: str) -> grpc.aio.Channel:
    certificate, key = world.authority.issue(world.folder / "evaluator", "evaluator.alerting.svc")
    return channel_to(MeshSettings(address, tls=TlsFiles(world.authority.file, key, certificate)))


@pytest.mark.parametrize("opened", [_of_a_service, _of_the_bridge])
def test_certificates_of_both_sides_change_while_calls_and_a_stream_go_on(
    world: World, address: str, loop_thread: LoopThread, opened: Callable[[World, str], grpc.aio.Channel]
) -> None:
    async def scenario() -> tuple[set[str], int, int]:
        seen, answered = set[str](), 0
        async with opened(world, address) as channel:
            stub: Any = RuleServiceStub(channel)
            watching = stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=bearer("reader"))
            await watching.read()
            for round_ in range(5):
                for _ in range(20):
                    seen.add((await stub.GetRule(pb.GetRuleRequest(), metadata=bearer("reader"), timeout=10)).rule.id)
                    answered += 1
                world.authority.issue(world.folder / "rules", "rules.alerting.svc")
                world.authority.issue(world.folder / "evaluator", "evaluator.alerting.svc", f"round-{round_}.svc")
            beats = 0
            while beats < 50:
                assert await watching.read() is not grpc.aio.EOF
                beats += 1
        return seen, answered, beats

    seen, answered, beats = loop_thread.run(scenario())
    assert (len(seen), answered, beats) == (5, 100, 50)


def test_the_authority_is_replaced_while_calls_go_on(
    world: World, address: str, loop_thread: LoopThread, tmp_path: Path
) -> None:
    mine, other = world.certificates("evaluator", "evaluator.alerting.svc"), Authority(tmp_path / "next")
    old, new = world.authority.file.read_bytes(), other.file.read_bytes()
    world.authority.file.write_bytes(old + new)
    assert call(loop_thread, address, mine) == "mesh"
    other.issue(world.folder / "rules", "rules.alerting.svc")
    assert call(loop_thread, address, mine) == "mesh"
    other.issue(world.folder / "evaluator", "evaluator.alerting.svc")
    assert call(loop_thread, address, mine) == "mesh"
    world.authority.file.write_bytes(new)
    assert call(loop_thread, address, mine) == "mesh"
    left_behind = world.certificates("late", "evaluator.alerting.svc")
    code, _ = call(loop_thread, address, left_behind)
    assert code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("is_waiting", [False, True])
def test_health_is_answered_in_plain_text_at_a_port_of_its_own_and_nothing_else(
    world: World, loop_thread: LoopThread, is_waiting: bool
) -> None:
    @asynccontextmanager
    async def serving(health_address: str) -> AsyncIterator[str]:
        if is_waiting:
            away = StorageUnavailable("away")
            async with waiting(
                "127.0.0.1:0", "monitors.v1.RuleService", away, variable="MONITORS_GRPC_PORT",
                certificates=world.server, health_address=health_address,
            ):  # fmt: skip
                yield health_address
            return
        server = MeshServer(authenticate, asyncio.Event(), certificates=world.server)
        server.host(Rules())  # type: ignore[abstract]
        await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT", health_address=health_address)
        yield health_address
        await server.stop()

    with loop_thread.opened(serving(f"127.0.0.1:{free_port()}")) as address:
        assert probe(["--address", address, "alive"], {}) == 0
        assert probe(["--address", address, "monitors.v1.RuleService"], {}) == (1 if is_waiting else 0)
        code, _ = call(loop_thread, address, None, "reader")
        assert code is grpc.StatusCode.UNIMPLEMENTED


def test_a_certificate_whose_key_is_not_there_yet_is_left_until_it_is(world: World) -> None:
    before = world.server.present
    key = (world.folder / "rules" / "key").read_bytes()
    world.authority.issue(world.folder / "rules", "rules.alerting.svc")
    new_key = (world.folder / "rules" / "key").read_bytes()
    (world.folder / "rules" / "key").write_bytes(key)
    assert world.server.present is before
    (world.folder / "rules" / "key").write_bytes(new_key)
    assert world.server.present.key == new_key


@pytest.mark.parametrize("broken", ["cert", "key"])
def test_files_that_are_none_are_refused_at_the_start_without_a_word_of_the_key(world: World, broken: str) -> None:
    folder = world.folder / "rules"
    (folder / broken).write_bytes(b"-----BEGIN canary-----")
    with pytest.raises(CertificatesUnusable, match="rules/cert") as raised:
        Certificates(TlsSettings(folder / "cert", folder / "key", world.authority.file, SERVICES))
    assert "canary" not in str(raised.value)
