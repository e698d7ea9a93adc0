"""Two replicas of RuleService on one MariaDB: what is changed at one is seen at the other, with Redis or without."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import grpc
import pytest
from sqlalchemy import Engine, event

from monitors.mesh.config import POLL_SECONDS, RedisSettings, load_settings
from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.mesh.redis import link
from monitors.mesh.shared import open_shared
from monitors.rules.service import base, pump
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rules.client import DEADLINE, FIELDS, FIRING, Client, refused
from tests.rules.running import running
from tests.rules.test_watch import watching
from tests.servers.backends import server_database_url
from tests.servers.redis import RedisServer, redis_server

ROUNDS = 20
NEVER = 3600.0


class Replicas:
    """Two of them, each with a client of the same tenant."""

    def __init__(
        self, loop: LoopThread, folder: Path, redis: RedisSettings | None, poll_seconds: float = POLL_SECONDS
    ) -> None:
        self._loop, self._folder, self._redis, self._poll_seconds = loop, folder, redis, poll_seconds
        self.quotas = Tiers(changed_quotas(["pro.requests=1"]))

    @contextmanager
    def opened(self) -> Iterator[tuple[Client, Client]]:
        url = server_database_url(self._folder / "rules.db")
        with ExitStack() as stack:
            clients: list[Client] = []
            self.shared = [stack.enter_context(self._loop.opened(open_shared(self._redis))) for _ in range(2)]
            for number, shared in enumerate(self.shared):
                service = running(
                    self._folder / f"{number}", url=url, shared=shared, quotas=self.quotas,
                    poll_seconds=self._poll_seconds,
                )  # fmt: skip
                opened = stack.enter_context(self._loop.opened(service))
                channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{opened.port}"))
                stub = RuleServiceStub(channel)
                key = clients[0].key if clients else self._loop.run(opened.rules.add_tenant("acme"))
                clients.append(Client(stub, "acme", key, opened.rules, self._loop))
            clients[0].report("mon_host", FIELDS)
            clients[0].mirror(("ops", True))
            yield clients[0], clients[1]

    def wait_until_redis_is_used(self) -> None:
        for shared in self.shared:
            wait_for(lambda: shared.redis and shared.redis.is_used, "the way to Redis")  # noqa: B023


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


def settings_of(server: RedisServer) -> RedisSettings | None:
    return load_settings({"REDIS_URL": server.url}).redis


@pytest.fixture
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine isn't a slow Redis."""
    monkeypatch.setattr(link, "CALL_SECONDS", 10.0)


@pytest.fixture
def _without_looking(monkeypatch: pytest.MonkeyPatch, _patience: None) -> None:
    """Streams look only when they are woken."""
    monkeypatch.setattr(pump, "POLL_SECONDS", NEVER)
    monkeypatch.setattr(base, "HEARTBEAT_SECONDS", NEVER)


def delays(here: Client, there: Client, rounds: int) -> list[float]:
    """How long it takes each time from asking one for a rule until an evaluator at the other has it, in seconds."""
    found = []
    with watching(there) as watched:
        newest = here.create()
        watched.until(int(newest.etag))
        for number in range(rounds):
            start = time.monotonic()
            newest = here.create(title=f"rule {number}")
            assert watched.until(int(newest.etag))[newest.id] == f"rule {number}"
            found.append(time.monotonic() - start)
    return found


@pytest.mark.parametrize("with_redis", [True, False])
def test_a_rule_made_at_one_reaches_an_evaluator_at_the_other(
    loop_thread: LoopThread,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    with_redis: bool,
    figure: Callable[[str], None],
) -> None:
    settings = settings_of(request.getfixturevalue("redis")) if with_redis else None
    replicas = Replicas(loop_thread, tmp_path, settings)
    with replicas.opened() as (here, there):
        if with_redis:
            replicas.wait_until_redis_is_used()
        found = delays(here, there, ROUNDS)
    how = "with Redis" if with_redis else "without Redis"
    figure(
        f"two RuleServices on one MariaDB, {how}: a rule made at one is with an evaluator at the other after "
        f"{median(found) * 1e3:.0f} ms (median; at most {max(found) * 1e3:.0f} ms) of {ROUNDS}"
    )


@pytest.mark.usefixtures("_without_looking")
def test_redis_alone_wakes_the_other(loop_thread: LoopThread, tmp_path: Path, redis: RedisServer) -> None:
    replicas = Replicas(loop_thread, tmp_path, settings_of(redis), NEVER)
    with replicas.opened() as (here, there), there.notifications() as outbox:
        replicas.wait_until_redis_is_used()
        assert len(delays(here, there, 3)) == 3
        alerts = there.stub.WatchAlerts(pb.WatchAlertsRequest(), metadata=there.metadata, timeout=DEADLINE)
        next(alerts)
        alert_id = here.fire(here.create())
        assert outbox.told(1) == [(FIRING, alert_id)]
        assert next(alerts).alert.id == alert_id
        alerts.cancel()


@pytest.mark.usefixtures("_without_looking")
def test_looking_alone_finds_what_the_other_has_changed(loop_thread: LoopThread, tmp_path: Path) -> None:
    with Replicas(loop_thread, tmp_path, None).opened() as (here, there), there.notifications() as outbox:
        assert len(delays(here, there, 3)) == 3
        alert_id = here.fire(here.create())
        assert outbox.told(1) == [(FIRING, alert_id)]


def works(here: Client, there: Client) -> None:
    """A rule made at one reaches the other's evaluators, and an alert the other's notifier."""
    assert len(delays(here, there, 2)) == 2
    with there.notifications() as outbox:
        alert_id = here.fire(here.create())
        assert outbox.told(1) == [(FIRING, alert_id)]
        here.call(pb.ResolveAlertRequest(alert_id=alert_id))
        outbox.take(1)


def test_all_goes_on_while_redis_is_killed_wiped_and_slow(
    loop_thread: LoopThread, tmp_path: Path, redis: RedisServer
) -> None:
    replicas = Replicas(loop_thread, tmp_path, settings_of(redis))
    with replicas.opened() as (here, there):
        works(here, there)
        redis.wipe()
        works(here, there)
        with redis.slow():
            works(here, there)
            works(there, here)
        redis.kill()
        works(here, there)
        works(there, here)
        redis.start()
        replicas.wait_until_redis_is_used()
        works(here, there)


def refusals(client: Client, calls: int) -> int:
    """How many of the calls are refused because there are too many."""
    count = 0
    for _ in range(calls):
        call = client.stub.ListRules.future(pb.ListRulesRequest(), metadata=client.metadata, timeout=DEADLINE)
        count += call.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert call.code() in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
    return count


@pytest.mark.usefixtures("_patience")
def test_requests_at_both_are_counted_together_and_apart_while_redis_is_away(
    loop_thread: LoopThread, tmp_path: Path, redis: RedisServer
) -> None:
    replicas = Replicas(loop_thread, tmp_path, settings_of(redis))
    with replicas.opened() as (here, there):
        replicas.wait_until_redis_is_used()
        loop_thread.run(here.rules.add_tenant("acme", "pro"))
        # Ten at once and one a second: what one uses up is gone for the other.
        assert refusals(here, 60) > 0
        error = refused(lambda: [there.call(pb.ListRulesRequest()) for _ in range(30)])
        assert (error.code, error.reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
        assert error.metadata == {"quota": "requests", "limit": "1", "tier": "pro"}
        assert "try again in" in error.message
        redis.kill()
        # Each counts for itself now, from a full bucket: nobody is refused because Redis is away.
        for client in (here, there):
            assert refusals(client, 5) == 0
            assert refusals(client, 60) > 0
        redis.start()
        replicas.wait_until_redis_is_used()
        # It has forgotten everything, and counts again for both.
        assert refusals(here, 5) == 0
        assert refusals(here, 60) > 0
        assert refusals(there, 30) > 0


@pytest.mark.parametrize("what", ["delete", "create"])
def test_a_repeat_that_comes_to_the_other_while_the_first_is_carried_out_gets_its_answer(
    loop_thread: LoopThread, tmp_path: Path, what: str
) -> None:
    interrupted: list[bool] = []
    answers: list[object] = []
    request: pb.DeleteRuleRequest | pb.CreateRuleRequest
    with Replicas(loop_thread, tmp_path, None).opened() as (here, there):
        rule = here.create(key="shop-is-slow")
        if what == "delete":
            request = pb.DeleteRuleRequest(rule_id=rule.id, request_id="once")
        else:
            made = rule_pb2.Rule(monitor_id="mon_host", title="Busy", condition_text="cpu_percent > 1", key="busy")
            request = pb.CreateRuleRequest(rule=made, request_id="once")

        def interrupt(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            """Carries the same request out at the other, once it's known here that it's new."""
            if "FROM requests" in statement and not interrupted:
                interrupted.append(True)
                answers.append(there.call(request))

        event.listen(Engine, "after_cursor_execute", interrupt)
        try:
            answers.append(here.call(request))
        finally:
            event.remove(Engine, "after_cursor_execute", interrupt)
    first, repeated = answers
    assert first == repeated
