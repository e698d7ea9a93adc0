"""A database that fails in every hard way under a RuleService: callers are told what to do, nothing that was answered
is lost, and it goes on by itself once the database does."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pymysql
import pytest
from pymysql.constants.ER import CON_COUNT_ERROR

from monitors.mesh.times import now_nanos
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rules.client import Client
from tests.rules.running import running
from tests.servers.load import check_says_when_to_try_again, going_on
from tests.servers.mariadb import PASSWORD as SERVER_PASSWORD
from tests.servers.mariadb import MariaDB, migrate, own_server
from tests.small_disk import NO_MOUNT, Disk, can_mount

USER, PASSWORD = "shop", "n0t-a-secret"
# What was installed is copied to a disk of its own, with the log's file in full: to it alone the server must write.
MOUNT = (
    'mount -t tmpfs -o size=200m tmpfs /mnt && cp -a --sparse=never "$0"/. /mnt && mount --bind /mnt "$0" && exec "$@"'
)
ON_A_SMALL_DISK = ("unshare", "--mount", "--map-root-user", "sh", "-c", MOUNT, "{folder}/data")


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDB]:
    """A server whose commits are synced."""
    with own_server() as opened:
        yield opened


@contextmanager
def served(server: MariaDB, folder: Path, loop: LoopThread) -> Iterator[Client]:
    """RuleService on a new database with a user of its own, who may do nothing else, and a client."""
    name = server.create_database()
    server.execute(
        f"CREATE OR REPLACE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'", f"GRANT ALL ON {name}.* TO '{USER}'@'%'"
    )
    url = f"mysql+pymysql://{USER}:{PASSWORD}@127.0.0.1:{server.port}/{name}"
    migrate(url, "rules")
    with (
        loop.opened(running(folder, url=url)) as opened,
        grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel,
    ):
        yield Client.of_new_tenant(RuleServiceStub(channel), opened.rules, loop)


@pytest.fixture
def client(server: MariaDB, tmp_path: Path, loop_thread: LoopThread) -> Iterator[Client]:
    with served(server, tmp_path, loop_thread) as opened:
        yield opened


def end_connections(server: MariaDB) -> None:
    """Ends those of the service, as a failover does."""
    server.execute(f"KILL CONNECTION USER '{USER}'")


def hold_all_connections(server: MariaDB, held: list[Any]) -> None:
    """Takes every connection that the server gives, until the service, which asks as well, has none of them."""
    # One that root has already: a new one may be refused as well, while one that ended isn't gone yet.
    with server.connected() as root, root.cursor() as cursor:
        while cursor.execute(f"SELECT id FROM information_schema.processlist WHERE user = '{USER}'") or not held:
            cursor.execute(f"KILL CONNECTION USER '{USER}'")
            while is_granted(lambda: held.append(connected(server))):
                pass


def told(call: Callable[[], object]) -> str:
    """What a call is refused with."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return refusal(raised.value)


def refusal(error: Any) -> str:
    """The text of a refusal that says when to try again."""
    check_says_when_to_try_again(error)
    text: str = error.details()
    return text


def works_again(client: Client) -> None:
    """Waits until a rule can be made, which takes no help."""

    def is_made() -> bool:
        try:
            client.create()
        except grpc.RpcError:
            return False
        return True

    wait_for(is_made, "a database that serves again", 30)


def test_a_password_that_is_wrong_now_is_named_and_the_right_one_ends_it(server: MariaDB, client: Client) -> None:
    server.execute(f"ALTER USER '{USER}'@'%' IDENTIFIED BY 'another'")
    end_connections(server)
    assert "check name and password in the database's URL" in told(client.create)
    assert "check name and password" in told(lambda: client.call(pb.ListRulesRequest()))
    server.execute(f"ALTER USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
    works_again(client)


def test_a_read_only_server_is_read_and_written_again_once_it_may(server: MariaDB, client: Client) -> None:
    rule = client.create()
    server.execute("SET GLOBAL read_only = 1")
    try:
        assert "the database is read-only: point the service at the primary" in told(client.create)
        assert "the database is read-only" in told(lambda: client.fire(rule))
        assert client.get(rule.id).title == rule.title
    finally:
        server.execute("SET GLOBAL read_only = 0")
    works_again(client)
    client.fire(rule)


def test_what_a_notifier_left_behind_while_nothing_could_be_written_is_given_back_once_it_can(
    server: MariaDB, client: Client
) -> None:
    ((name,),) = server.execute(f"SELECT DISTINCT db FROM information_schema.processlist WHERE user = '{USER}'")

    def is_leased() -> bool:
        return bool(server.execute("SELECT id FROM outbox WHERE lease_until > 0", database=name))

    client.fire(client.create())
    with client.notifications() as outbox:
        next(outbox.batches())
        assert is_leased()
        server.execute("SET GLOBAL read_only = 1")
        outbox.stream.cancel()
        # A request after it is refused after what the end of the stream wanted to write was.
        assert "the database is read-only" in told(client.create)
        assert is_leased()
    server.execute("SET GLOBAL read_only = 0")
    wait_for(lambda: not is_leased(), "nothing that is leased, long before a lease ends", 15)


@pytest.mark.parametrize("end", [MariaDB.stop, MariaDB.kill])
def test_what_was_answered_outlives_a_server_that_ends_under_load(
    server: MariaDB, client: Client, end: Callable[[MariaDB], None]
) -> None:
    with going_on(client) as load:
        wait_for(lambda: len(load.made) > 10 and len(load.recorded) > 10, "some that are answered", 60)
        end(server)
        wait_for(lambda: len(load.told) > 10, "some that are refused", 60)
        server.start()
        before = len(load.made), len(load.recorded)
        wait_for(lambda: len(load.made) > before[0] + 10, "rules that are made again", 60)
        wait_for(lambda: len(load.recorded) > before[1] + 10, "alerts that are recorded again", 60)
    load.check()


def test_a_server_without_a_connection_left_says_so_until_there_is_one(server: MariaDB, client: Client) -> None:
    before = server.execute("SELECT @@max_connections")[0][0]
    # The least that there may be; one more is kept for root.
    server.execute("SET GLOBAL max_connections = 10")
    held: list[Any] = []
    try:
        hold_all_connections(server, held)
        assert "no connection left: raise its max_connections" in told(client.create)
    finally:
        for connection in held:
            connection.close()
        server.execute(f"SET GLOBAL max_connections = {before}")
    works_again(client)


def connected(server: MariaDB) -> Any:
    return pymysql.connect(host="127.0.0.1", port=server.port, user="monitors", password=SERVER_PASSWORD)


def is_granted(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except pymysql.err.OperationalError as error:
        if error.args[0] == CON_COUNT_ERROR:
            return False
        raise
    return True


@pytest.mark.skipif(not can_mount(), reason=NO_MOUNT)
def test_a_full_disk_refuses_what_is_new_until_there_is_room(tmp_path: Path, loop_thread: LoopThread) -> None:
    with own_server(prefix=ON_A_SMALL_DISK) as server, served(server, tmp_path, loop_thread) as client:
        disk = Disk(Path(f"/proc/{server.pid}/root") / (server.folder / "data").relative_to("/"))
        rule, made = client.create(), list[str]()
        disk.fill()
        try:
            refusals = []

            def is_full() -> bool:
                try:
                    made.append(client.create(annotations={"summary": "x" * 4000}).id)
                except grpc.RpcError as error:
                    refusals.append(refusal(error))
                return bool(refusals)

            # What is left of the pages that the tables have already is used up first.
            wait_for(is_full, "a refusal", 60, every=0)
            assert "the database's disk is full: free some space on it" in refusals[0]
            assert client.get(rule.id).title == rule.title
        finally:
            disk.free()
        works_again(client)
        client.fire(rule, now_nanos())
        assert all(client.get(rule_id).id == rule_id for rule_id in made)
