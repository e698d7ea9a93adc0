"""Connections outwards: kept from one message of a burst to the next."""

from aiohttp import web

from monitors.notifier.egress import Egress
from tests.harness import LoopThread


def test_messages_of_a_burst_share_a_connection(loop_thread: LoopThread) -> None:
    ports: list[int] = []

    async def take(request: web.Request) -> web.Response:
        assert request.transport is not None
        ports.append(request.transport.get_extra_info("peername")[1])
        return web.Response(text="ok")

    async def work() -> None:
        app = web.Application()
        app.router.add_post("/", take)
        runner, egress = web.AppRunner(app, shutdown_timeout=1), Egress(allow_local=True)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            for _ in range(3):
                await egress.post(f"http://127.0.0.1:{runner.addresses[0][1]}/", b"", {})
        finally:
            await egress.close()
            await runner.cleanup()

    loop_thread.run(work())
    assert len(ports) == 3
    assert len(set(ports)) == 1
