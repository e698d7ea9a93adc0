"""The way to Redis: what is told of trouble, that it mends by itself, and that answers aren't mixed up."""

import asyncio
import logging
from pathlib import Path

import pytest

from monitors.mesh.config import RedisSettings, load_settings
from monitors.mesh.redis.link import RedisAway, RedisLink, open_redis
from monitors.mesh.shared import Shared, open_shared
from tests.certificates import make_certificate
from tests.harness import LoopThread
from tests.mesh.redis.conftest import slow, wait_until_used
from tests.processes import wait_for
from tests.servers.redis import ESCAPED_PASSWORD, PASSWORD, RedisServer

QUICK = 1000


def settings_for(url: str) -> RedisSettings:
    settings = load_settings({"REDIS_URL": url}).redis
    assert settings is not None
    return settings


@pytest.mark.parametrize("kind", ["tcp", "socket"])
def test_it_connects_by_tcp_and_by_a_socket(loop_thread: LoopThread, server: RedisServer, kind: str) -> None:
    url = server.url if kind == "tcp" else f"unix://{server.socket}?db=3&password={ESCAPED_PASSWORD}"

    async def write(link: RedisLink) -> None:
        await link.call(lambda redis: redis.set("key", "value"))

    with loop_thread.opened(open_redis(settings_for(url))) as link:
        wait_for(lambda: link.is_used, "the way to Redis")
        loop_thread.run(write(link))
    with server.client as client:
        client.select(0 if kind == "tcp" else 3)
        assert client.get("key") == b"value"


def test_a_wrong_password_is_told_without_showing_it(
    loop_thread: LoopThread, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with loop_thread.opened(open_shared(settings_for(f"redis://:hunter2@127.0.0.1:{server.port}"))) as shared:
        wait_for(lambda: shared.problem, "the problem")
        assert "refuses the user name or the password of REDIS_URL" in shared.problem
        assert loop_thread.run(shared.buckets.take("acme", 1, 1)) == 0
    assert f"127.0.0.1:{server.port}" in caplog.text
    assert f"{server.port}" not in shared.problem
    assert "hunter2" not in caplog.text + shared.problem


def test_trouble_is_logged_once_and_its_end_too(
    loop_thread: LoopThread, one: Shared, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def take(times: int) -> None:
        for _ in range(times):
            await one.buckets.take("acme", QUICK, QUICK)

    with caplog.at_level(logging.WARNING, logger="monitors"):
        server.kill()
        loop_thread.run(take(500))
        assert "can't be reached" in one.problem
        server.start()
        wait_until_used(one)
        loop_thread.run(take(500))
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "can't be reached" in told[0]
    assert "is used again" in told[1]
    assert PASSWORD not in caplog.text
    assert one.problem == ""


def test_what_it_refuses_is_told_and_done_without(loop_thread: LoopThread, one: Shared, server: RedisServer) -> None:
    with server.client as client:
        client.replicaof("127.0.0.1", str(server.port))
        assert loop_thread.run(one.buckets.take("acme", QUICK, QUICK)) == 0
        assert "answers with the error" in one.problem
        client.replicaof("NO", "ONE")
    assert loop_thread.run(one.buckets.take("acme", QUICK, QUICK)) == 0
    assert one.problem == ""


def test_no_answer_is_taken_for_that_to_another_question(
    loop_thread: LoopThread, one: Shared, server: RedisServer
) -> None:
    assert one.redis is not None
    link = one.redis

    async def ask(number: int) -> bool:
        """Whether the answer, if there was one, is that to the question."""
        try:
            return await link.call(lambda redis: redis.echo(f"{number}")) == f"{number}".encode()
        except RedisAway:
            return True

    async def ask_many(start: int) -> list[bool]:
        return await asyncio.gather(*map(ask, range(start, start + 30)))

    assert all(loop_thread.run(ask_many(0)))
    for round_number in range(1, 4):
        with slow(server):
            assert all(loop_thread.run(ask_many(100 * round_number)))
        wait_until_used(one)
        assert all(loop_thread.run(ask_many(100 * round_number + 50)))


def test_with_tls_only_a_server_of_the_right_authority_is_trusted(
    loop_thread: LoopThread, server: RedisServer, tmp_path: Path
) -> None:
    trusted, other = make_certificate(tmp_path / "trusted"), make_certificate(tmp_path / "other")
    port = server.listen_with_tls(*trusted)
    url = f"rediss://:{ESCAPED_PASSWORD}@127.0.0.1:{port}/0?ssl_ca_certs="
    with loop_thread.opened(open_redis(settings_for(f"{url}{trusted[0]}"))) as link:
        wait_for(lambda: link.is_used, "the way to Redis")
    with loop_thread.opened(open_redis(settings_for(f"{url}{other[0]}"))) as link:
        wait_for(lambda: link.problem, "the refusal")
        assert not link.is_used
