"""Opens every adapter that the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from monitors.mesh.identity import Authenticate, IdentityProvider, first_of
from monitors.mesh.identity.settings import IdentitySettings
from monitors.rules.identity.api_keys import ApiKeys, CheckAccount, EndingWithAccounts, no_accounts
from monitors.rules.identity.tenants import Tenants


@asynccontextmanager
async def open_identity(settings: IdentitySettings, api_keys: ApiKeys, tenants: Tenants) -> AsyncIterator[Authenticate]:
    """Who a credential belongs to: asked are API keys, then the existing session system, then the issuer."""
    providers: list[IdentityProvider] = []
    check_account: CheckAccount = no_accounts
    async with AsyncExitStack() as stack:
        if settings.sessions:
            from monitors.rules.identity.live_sessions import LiveSessions
            from monitors.rules.identity.sessions import Sessions

            live = LiveSessions(settings.sessions)
            stack.push_async_callback(live.close)
            providers.append(Sessions(settings.sessions, live, tenants.ensure))
            if settings.sessions.database_url:
                check_account = live.check_account
        if settings.oidc:
            from monitors.rules.identity.issuer_keys import IssuerKeys
            from monitors.rules.identity.oidc import Oidc

            providers.append(Oidc(settings.oidc, IssuerKeys(settings.oidc), tenants.tier_of))
        yield first_of(EndingWithAccounts(api_keys, check_account), *providers)
