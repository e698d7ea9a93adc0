"""The bridge as an ASGI application, and the server that runs it within limits."""

import uvicorn
from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
from mcp.server.auth.routes import create_protected_resource_routes
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import AnyHttpUrl, ConfigDict, TypeAdapter
from starlette.types import ASGIApp

from monitors.bridge import limits
from monitors.bridge.alive import Alive
from monitors.bridge.https import https_context
from monitors.bridge.incoming import ReadableBodies
from monitors.bridge.keys import KeyGate, Keys
from monitors.bridge.oauth.gate import Gate
from monitors.bridge.oauth.issuer import IssuerKeys
from monitors.bridge.oauth.settings import OAuthSettings
from monitors.bridge.oauth.statements import voucher_of
from monitors.bridge.oauth.tokens import Tokens
from monitors.bridge.scopes import READ, WRITE
from monitors.bridge.server import BridgeServer, build_server
from monitors.bridge.settings import HttpSettings, MeshSettings

# Clients compare these texts, so a URL without a path mustn't get a slash.
_EXACT_URL = TypeAdapter(AnyHttpUrl, config=ConfigDict(url_preserve_empty_path=True))
PATH = "/mcp"
STOP_SECONDS = 5


def build_http_server(mesh: MeshSettings, http: HttpSettings, oauth: OAuthSettings | None) -> BridgeServer:
    """The MCP server for callers over HTTP."""
    if oauth is None:
        return build_server(mesh, lends_local_key=http.is_local, state_keys=http.state_keys)
    return build_server(mesh, lends_local_key=False, vouch=voucher_of(oauth.secret), state_keys=http.state_keys)


def build_app(
    server: BridgeServer,
    mesh: MeshSettings,
    http: HttpSettings,
    oauth: OAuthSettings | None,
    security: TransportSecuritySettings,
) -> ASGIApp:
    """The application. With `oauth` it's a resource server; else callers come with API keys of the mesh."""
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        host=http.host,
        transport_security=security,
        max_request_body_size=limits.LARGEST_BODY,
        session_idle_timeout=limits.IDLE_SECONDS,
        max_sessions=http.max_clients,
    )
    if oauth is None:
        readable = ReadableBodies(app, PATH, limits.LARGEST_BODY)
        return Alive(readable if http.is_local else KeyGate(readable, Keys(mesh)))
    app.router.routes[:0] = create_protected_resource_routes(
        _EXACT_URL.validate_python(oauth.resource_url),
        [_EXACT_URL.validate_python(oauth.issuer)],
        scopes_supported=[READ, WRITE],
        resource_name="Monitors",
    )
    readable = ReadableBodies(app, PATH, limits.LARGEST_BODY)
    return Alive(Gate(AuthContextMiddleware(readable), Tokens(oauth, IssuerKeys(oauth)), Keys(mesh), oauth))


def server_config(app: ASGIApp, http: HttpSettings) -> uvicorn.Config:
    """How uvicorn serves it: h11 alone, which has a limit for a request's head. Raises BadSetting."""
    tls = https_context(http.tls) if http.tls else None
    return uvicorn.Config(
        app,
        http=limits.ImpatientProtocol,
        ws="none",
        h11_max_incomplete_event_size=limits.LARGEST_HEAD,
        # It counts the one that it decides on as well.
        limit_concurrency=http.max_clients + 1,
        log_level="warning",
        access_log=False,
        server_header=False,
        ssl_context_factory=(lambda *_: tls) if tls else None,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
