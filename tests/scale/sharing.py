"""Who holds which shards, looked at again and again in the database, and what must hold of it."""

import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from monitors.rules.model.alert import SHARDS
from monitors.rules.model.leases import LEASE
from tests.servers.mariadb import MariaDB

EVERY = 0.25
MOST = 1.3
"""How many times its fair share an evaluator may hold."""


@dataclass(frozen=True)
class Look:
    """What the database says at a moment, in seconds since 1970: who is alive, how many shards each of those holds, and
    the epochs of the shards and of their saved states."""

    moment: float
    alive: frozenset[str]
    held: Mapping[str, int]
    epochs: Mapping[int, int] = field(default_factory=dict)
    saved: Mapping[int, int] = field(default_factory=dict)

    @property
    def worst(self) -> float:
        """The largest share, as a multiple of the fair one; without end while shards are nobody's."""
        if sum(self.held.values()) < SHARDS:
            return float("inf")
        return max(self.held.values()) * len(self.alive) / SHARDS


@dataclass(frozen=True)
class Shared:
    """What was seen: how often evaluators came or went, how many seconds it took at most until each had about its fair
    share, and the largest share then, as a multiple of the fair one."""

    changes: int
    slowest: float
    worst: float


def check_sharing(looks: Sequence[Look], within: float) -> Shared:
    """S1: `within` seconds after evaluators came or went, and until others do, all shards are held and nobody has more
    than 1.3 times its fair share. Raises AssertionError."""
    before, since, is_settled = looks[0].alive, looks[0].moment, False
    changes, slowest, worst = 0, 0.0, 0.0
    for look in looks:
        if look.alive != before:
            before, since, is_settled, changes = look.alive, look.moment, False, changes + 1
        age = look.moment - since
        if look.worst <= MOST and not is_settled:
            is_settled, slowest = True, max(slowest, age)
        assert look.worst <= MOST or age <= within, (
            f"S1: {age:.1f} s after the last of {len(look.alive)} evaluators came or went they hold {look.held}"
        )
        worst = max(worst, look.worst) if look.worst <= MOST else worst
    return Shared(changes, slowest, worst)


def check_epochs(looks: Sequence[Look]) -> None:
    """S2: nobody writes under a lease that is over: a shard's state is never followed by one of an older epoch."""
    newest: dict[int, int] = {}
    for look in looks:
        for shard, epoch in look.saved.items():
            assert epoch >= newest.get(shard, 0), (
                f"S2: the state of shard {shard} of epoch {newest[shard]} was followed by one of epoch {epoch}"
            )
            newest[shard] = epoch


class Watcher:
    """Looks again and again, in a thread."""

    def __init__(self, server: MariaDB, database: str) -> None:
        self.looks: list[Look] = []
        self._connection = server.connected(database)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def stop(self) -> None:
        """Ends."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(10)
        self._connection.close()

    @property
    def is_balanced(self) -> bool:
        """Whether all shards are shared out by now, and whoever is there has some."""
        if not self.looks:
            return False
        newest = self.looks[-1]
        return newest.worst <= MOST and newest.held.keys() == newest.alive

    def _run(self) -> None:
        while not self._stop.wait(EVERY):
            self.looks.append(self._look())

    def _look(self) -> Look:
        now = time.time_ns()
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT id FROM evaluators WHERE expire_time > %s", (now,))
            alive = frozenset(str(name) for (name,) in cursor)
            cursor.execute("SELECT shard, epoch, owner, expire_time FROM shards")
            rows = list(cursor)
            cursor.execute("SELECT shard, epoch FROM shard_states")
            saved = dict(cursor)
        held = Counter(str(owner) for _, _, owner, until in rows if until > now)
        return Look(time.time(), alive, held, {shard: epoch for shard, epoch, _, _ in rows}, saved)


LEASE_SECONDS = LEASE / 1e9
