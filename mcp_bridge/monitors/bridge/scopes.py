"""What a caller with an access token may do: `alerts:read` looks, `alerts:write` changes."""

from mcp.server.auth.middleware.auth_context import get_access_token

from monitors.bridge.errors import UNCHANGED

READ, WRITE = "alerts:read", "alerts:write"
MESH_SCOPES = {READ: ("alerts:read", "rules:read"), WRITE: ("alerts:write", "rules:write", "channels:write")}
"""The scopes of the mesh that each stands for."""


def refused_for_scope(tool: str, *, writes: bool) -> str:
    """Why the present caller may not call a tool; empty if they may. What an API key may do, the mesh itself knows."""
    token = get_access_token()
    needed = WRITE if writes else READ
    if token is None or needed in token.scopes:
        return ""
    return (
        f"{tool} needs the scope {needed}, which your access token lacks ({' '.join(token.scopes)}). {UNCHANGED} "
        f"Sign in again and allow {needed}, or ask your administrator for it."
    )
