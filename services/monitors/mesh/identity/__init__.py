"""Who calls, and how that is found out.

`principals` says who somebody is, `providers` is the port through which a credential becomes a principal, `keys` are
API keys as texts. `existing` and `owners` read the tables of the user system that a team already has.
"""

from monitors.mesh.identity.keys import ApiKey, new_api_key, parse_api_key
from monitors.mesh.identity.principals import (
    ORDINARY_SCOPES,
    SCOPES,
    SERVICE,
    Principal,
    bind_principal,
    current_principal,
    current_source,
    current_tenant,
    tenant_of_caller,
)
from monitors.mesh.identity.providers import (
    CACHE_SECONDS,
    Authenticate,
    CachedAuthenticator,
    IdentityProvider,
    ServiceToken,
    ahead_of,
    first_of,
    seconds_to_trust,
    with_service_token,
)

__all__ = [
    "CACHE_SECONDS",
    "ORDINARY_SCOPES",
    "SCOPES",
    "SERVICE",
    "ApiKey",
    "Authenticate",
    "CachedAuthenticator",
    "IdentityProvider",
    "Principal",
    "ServiceToken",
    "ahead_of",
    "bind_principal",
    "current_principal",
    "current_source",
    "current_tenant",
    "first_of",
    "new_api_key",
    "parse_api_key",
    "seconds_to_trust",
    "tenant_of_caller",
    "with_service_token",
]
