"""Load balancers and orchestrators, which have no key and know no name of the bridge, are told that it's there."""

import httpx2

from monitors.bridge.alive import PATH
from monitors.bridge.http import build_app, build_http_server
from monitors.bridge.main import transport_security
from monitors.bridge.settings import HttpSettings, MeshSettings
from tests.harness import LoopThread


def test_who_has_no_key_learns_that_the_bridge_is_there_and_nothing_else(loop_thread: LoopThread) -> None:
    mesh, http = MeshSettings("127.0.0.1:1"), HttpSettings(host="0.0.0.0")
    app = build_app(build_http_server(mesh, http, None), mesh, http, None, transport_security(http))

    async def scenario() -> list[tuple[int, str]]:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app)) as client:
            answers = [await client.get("http://10.1.2.3:9122" + path) for path in (PATH, "/mcp")]
            return [(answer.status_code, answer.text[:3]) for answer in answers]

    told, refused = loop_thread.run(scenario())
    assert told == (200, "ok\n")
    assert refused[0] == 401
