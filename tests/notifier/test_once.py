"""A request that another replica carries out meanwhile."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitors.mesh.database import Database
from monitors.mesh.errors import NotFound, RequestIdReused
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import Sealer
from monitors.notifier.auditing import Actor
from monitors.notifier.once import Once, or_first_answer
from monitors.notifier.store.requests import RequestStore
from tests.harness import LoopThread
from tests.servers.backends import database_url
from tests.tenants import of_all

GONE = NotFound("silence", "sil_1", "ListSilences shows those that there are")


def once(request_id: str = "delete it", request: bytes = b"sil_1") -> Once:
    return Once(Actor("acme"), "DeleteSilence", request_id, request)


class Replica:
    """What a replica works with."""

    def __init__(self, loop: LoopThread, folder: Path) -> None:
        self._loop = loop
        url = database_url(folder / "n.db", "notifier")
        self.database = Database(url, name="n", migrations="monitors.notifier.migrations")
        self.database.upgrade()
        self._requests = RequestStore(Sealer(key_ring((), folder / "key")))

    def fail(self, mine: Once, *, of_another: Once | None = None, by: Exception = GONE) -> bytes:
        """Fails to carry out a request, after another replica has answered one."""

        async def carry_out() -> bytes:
            if of_another:
                one = of_another
                await self.database.write(
                    of_all(
                        lambda session: self._requests.remember(
                            session, one.tenant, one.method, one.request_id, one.request, b"done", 1
                        )
                    )
                )
            raise by

        return self._loop.run(or_first_answer(self.database, self._requests, mine, carry_out()))


@pytest.fixture
def replica(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Replica]:
    one = Replica(loop_thread, tmp_path)
    yield one
    one.database.close()


def test_what_another_replica_has_done_meanwhile_is_answered_as_it_did(replica: Replica) -> None:
    assert replica.fail(once(), of_another=once()) == b"done"


def test_what_nobody_has_done_fails_as_it_failed(replica: Replica) -> None:
    for mine in (once(), once(request_id="")):
        with pytest.raises(NotFound):
            replica.fail(mine)


def test_where_nothing_can_be_found_the_database_isnt_asked(replica: Replica) -> None:
    is_full = sqlite3.OperationalError("database or disk is full")
    is_full.sqlite_errorname = "SQLITE_FULL"
    replica.database.close()
    with pytest.raises(sqlite3.OperationalError, match="disk is full"):
        replica.fail(once(), by=is_full)
    with pytest.raises(NotFound):
        replica.fail(once(request_id=""))


def test_the_answer_to_another_request_isnt_given(replica: Replica) -> None:
    with pytest.raises(RequestIdReused):
        replica.fail(once(), of_another=once(request=b"sil_2"))
