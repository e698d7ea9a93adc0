"""Whether the bridge is there, for load balancers and orchestrators, which have no key."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/healthz"


class Alive:
    """Answers `GET /healthz` before anybody asks who it is, whatever name it's called by; all else goes to `app`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application."""
        if scope["type"] == "http" and scope["path"] == PATH and scope["method"] in ("GET", "HEAD"):
            await PlainTextResponse("ok\n")(scope, receive, send)
        else:
            await self._app(scope, receive, send)
