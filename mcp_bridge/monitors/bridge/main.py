"""`monitors-mcp`: the bridge over stdio, or with `--http` over streamable HTTP."""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import anyio
from mcp.server.transport_security import TransportSecuritySettings

from monitors.bridge.server import BridgeServer, build_server
from monitors.bridge.settings import (
    LOOPBACK,
    BadSetting,
    HttpSettings,
    MeshSettings,
    load_http_settings,
    load_mesh_settings,
    take_secret_files,
)
from monitors.bridge.tracing import load_tracing_settings, tracing

EPILOG = (
    "environment: MONITORS_SERVER (the mesh, default 127.0.0.1 and MONITORS_GRPC_PORT or 50051), MONITORS_KEY (an API "
    "key; default: the key in $MONITORS_HOME/key, ~/.monitors/key), MONITORS_MCP_PORT (default 9122), "
    "MONITORS_MCP_ALLOWED_HOSTS, MONITORS_MCP_MAX_CLIENTS (default 1000), MONITORS_MCP_STATE_KEY (at least 32 "
    "characters, the same for all processes that serve one address, so that each can read the answer to another's "
    "question), MONITORS_MCP_TLS_CERT_FILE and MONITORS_MCP_TLS_KEY_FILE to be called by https; MONITORS_TLS_CA_FILE, "
    "MONITORS_TLS_KEY_FILE and MONITORS_TLS_CERT_FILE for a mesh that speaks TLS; "
    "OTEL_EXPORTER_OTLP_ENDPOINT for a collector of spans (with monitors-mcp[telemetry]); "
    "with MONITORS_MCP_ISSUER it takes the access tokens of that issuer, see docs/remote-mcp.md"
)


def run() -> None:
    """The command. Ends with status 2 for a wrong setting."""
    sys.exit(main(sys.argv[1:]))


def main(arguments: Sequence[str]) -> int:
    """Serves until the client goes or a signal comes; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        take_secret_files(os.environ)
        mesh = load_mesh_settings(os.environ)
        with tracing(load_tracing_settings(os.environ)):
            if options.http:
                serve_http(mesh, load_http_settings(os.environ, options.host, options.port, options.allow_host))
            else:
                # Standard input is read by a thread that an interrupt doesn't wake, and there is nothing to tidy up.
                signal.signal(signal.SIGINT, signal.SIG_DFL)
                build_server(mesh).run()
    except BadSetting as error:
        print(f"monitors-mcp: {error}", file=sys.stderr)  # noqa: T201
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="monitors-mcp", description="Alerting by conversation: six MCP tools on the monitors mesh.", epilog=EPILOG
    )
    parser.add_argument("--http", action="store_true", help="serve streamable HTTP instead of stdio")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--port", default="", help="port to listen on (default 9122)")
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME",
        help="a further name by which clients may call; needed when --host isn't this machine alone",
    )  # fmt: skip
    return parser


def serve_http(mesh: MeshSettings, http: HttpSettings, extend: Callable[[BridgeServer], None] | None = None) -> None:
    """Serves streamable HTTP until a signal comes. Raises BadSetting if it can't listen.

    `extend` may add to the server before it is served.
    """
    # Only here, so that stdio, which a client starts and waits for, starts sooner.
    import uvicorn

    from monitors.bridge.http import PATH, build_app, build_http_server, server_config
    from monitors.bridge.oauth.settings import load_oauth_settings

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # It waits for all answers, and a listener's would go on.
            bridge.end_listening()
            await super().shutdown(sockets)

    oauth = load_oauth_settings(os.environ)
    bridge = build_http_server(mesh, http, oauth)
    if extend is not None:
        extend(bridge)
    app = build_app(bridge, mesh, http, oauth, transport_security(http, oauth.resource_host if oauth else ""))
    with listen(http) as listening:
        port = listening.getsockname()[1]
        host = f"[{http.host}]" if ":" in http.host else http.host
        whose = f", for users of {oauth.issuer}" if oauth else ""
        where = f"{http.scheme}://{host}:{port}{PATH}, for the mesh at {mesh.address}{whose}"
        print(f"monitors-mcp: {where}", file=sys.stderr, flush=True)  # noqa: T201
        server = Server(server_config(app, http))
        anyio.run(lambda: server.serve(sockets=[listening]))


def listen(http: HttpSettings) -> socket.socket:
    """A listening socket. Raises BadSetting, which names the address and how to choose another."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    # Said to be TCP, or asyncio leaves its small packets waiting for acknowledgements: 40 ms more for each answer.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((http.host, http.port))
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise BadSetting(
            f"{http.host}:{http.port} can't be listened on ({error.strerror or 'no such address'}); stop what uses it, "
            "or choose another port with --port or MONITORS_MCP_PORT, or another address with --host"
        ) from error
    return listening


def transport_security(http: HttpSettings, public_host: str = "") -> TransportSecuritySettings:
    """The Host and Origin headers that are let in, whatever address is bound: a web page mustn't reach the tools.

    `public_host` is the name by which the public calls the bridge.
    """
    names = [*("[::1]" if name == "::1" else name for name in LOOPBACK), *http.allowed_hosts]
    if public_host:
        names.append(public_host)
    if http.host not in (*LOOPBACK, "0.0.0.0", "::"):  # noqa: S104  # nosec B104
        names.append(f"[{http.host}]" if ":" in http.host else http.host)
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[form for name in names for form in (name, f"{name}:*")],
        allowed_origins=[
            f"{scheme}://{form}" for name in names for scheme in ("http", "https") for form in (name, f"{name}:*")
        ],
    )
