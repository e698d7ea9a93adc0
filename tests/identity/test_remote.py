"""Who a credential belongs to, as the other services learn it from RuleService."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitors.app.serve import remote_authenticator
from monitors.mesh.channels import open_channel
from monitors.mesh.errors import MeshError, ServiceUnavailable, Unauthenticated
from monitors.mesh.identity import Principal
from monitors.mesh.identity.settings import IdentitySettings, OidcSettings, SessionSettings
from monitors.mesh.masking import Secret, SecretUrl
from tests.bridge.authorization_server import AuthorizationServer, authorization_server
from tests.harness import LoopThread
from tests.identity.user_system import SECRET, UserSystem, UserTables, sqlite_at
from tests.rules.running import SERVICE_TOKEN, running

AUDIENCE = "https://mesh.example.org"


@dataclass
class World:
    """A RuleService that another service asks, without a memory of its own."""

    users: UserSystem
    tables: UserTables
    issuer: AuthorizationServer
    address: str
    loop: LoopThread

    def who(self, credential: str) -> Principal:
        async def ask() -> Principal:
            async with open_channel(self.address, SERVICE_TOKEN) as channel:
                return await remote_authenticator(channel)(credential)

        return self.loop.run(ask())


@pytest.fixture
def world(loop_thread: LoopThread, tmp_path: Path) -> Iterator[World]:
    url = sqlite_at(tmp_path)
    tables = UserTables(url)
    with ExitStack() as stack:
        issuer = stack.enter_context(authorization_server())
        identity = IdentitySettings(
            SessionSettings(Secret(SECRET), database_url=SecretUrl(url)),
            OidcSettings(issuer.url, AUDIENCE, f"{issuer.url}/keys"),
        )
        service = stack.enter_context(loop_thread.opened(running(tmp_path, identity=identity)))
        yield World(UserSystem(tables, None), tables, issuer, f"127.0.0.1:{service.port}", loop_thread)


def test_a_session_is_known_to_the_other_services_with_its_tier_scopes_and_end(world: World) -> None:
    principal = world.who(world.users.sign_in("user_ann", tier="enterprise", permissions=["rules:read"]).token)
    assert (principal.tenant, principal.user, principal.tier) == ("user_ann", "user_ann", "enterprise")
    assert principal.scopes == {"rules:read"}
    assert principal.expire_time is not None


def test_who_has_signed_out_is_refused_there_in_the_same_words(world: World) -> None:
    session = world.users.sign_in()
    world.users.sign_out(session)
    with pytest.raises(Unauthenticated, match="the session has ended; sign in again"):
        world.who(session.token)


def test_a_tenant_that_the_mesh_does_not_have_is_denied_there_too(world: World) -> None:
    with pytest.raises(MeshError, match="no tenant 'nobody'") as refused:
        world.who(world.issuer.mint(aud=AUDIENCE, tenant="nobody"))
    assert (refused.value.code, refused.value.reason) == ("PERMISSION_DENIED", "UNKNOWN_TENANT")


def test_what_cannot_be_found_out_is_told_as_such(world: World) -> None:
    session = world.users.sign_in()
    world.tables.run("DROP TABLE sessions")
    with pytest.raises(ServiceUnavailable, match="the user system's database can't be asked now"):
        world.who(session.token)
