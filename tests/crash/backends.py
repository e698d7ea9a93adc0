"""MariaDB and Redis under the mesh, to be killed as well."""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import create_engine

from tests.crash.chaos import Actions, stand_still
from tests.crash.proxy import FaultProxy
from tests.servers.backends import every_row, upgrade
from tests.servers.mariadb import MariaDB, own_server
from tests.servers.redis import RedisServer, redis_server

DATABASE = "mesh"
STANDSTILL = (0.5, 3.0)
NO_SYNC = ("--innodb-flush-log-at-trx-commit=0",)
"""A commit is answered before it is on the disk: what a database must never be allowed to do."""


@dataclass
class Backends:
    """Both servers. RuleService and the notifier share one database."""

    mariadb: MariaDB
    redis: RedisServer

    def proxies(self) -> dict[str, FaultProxy]:
        """A way to each that can be disturbed."""
        return {"MariaDB": FaultProxy(self.mariadb.port), "Redis": FaultProxy(self.redis.port)}

    @property
    def database_url(self) -> str:
        """Of the database, straight."""
        return self.mariadb.url(DATABASE)

    def environment(self, proxies: dict[str, FaultProxy]) -> dict[str, str]:
        """How the services find them, through the proxies."""
        database = self.database_url.replace(f":{self.mariadb.port}/", f":{proxies['MariaDB'].port}/")
        redis = self.redis.url.replace(f":{self.redis.port}/", f":{proxies['Redis'].port}/")
        return {"DATABASE_URL": database, "MONITORS_NOTIFIER_DATABASE_URL": database, "REDIS_URL": redis}

    def actions(self) -> Actions:
        """What can be done to them."""

        def doing(*steps: Callable[[], None]) -> Callable[[random.Random], None]:
            def do(_: random.Random) -> None:
                for step in steps:
                    step()

            return do

        return {
            "kill MariaDB": doing(self.mariadb.kill, self.mariadb.start),
            "kill Redis": doing(self.redis.kill, self.redis.start),
            "wipe Redis": doing(self.redis.wipe),
            "freeze MariaDB": lambda choice: stand_still(self.mariadb.pid, choice.uniform(*STANDSTILL)),
            "freeze Redis": lambda choice: stand_still(self.redis.pid, choice.uniform(*STANDSTILL)),
        }

    def stored(self) -> bytes:
        """All that lies in the database."""
        engine = create_engine(self.database_url)
        found = every_row(engine)
        engine.dispose()
        return found


@contextmanager
def backends(options: Sequence[str] = ()) -> Iterator[Backends]:
    """Runs both, with the tables made. `options` are mariadbd's; without any it syncs each commit."""
    with own_server(options) as mariadb, redis_server() as redis:
        mariadb.execute(f"CREATE DATABASE {DATABASE}")
        for service in ("rules", "notifier"):
            upgrade(mariadb, DATABASE, service)
        yield Backends(mariadb, redis)
