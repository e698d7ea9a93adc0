"""What is done to what the mesh stands on, while everybody goes on."""

import base64
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tests.rolling.world import World
from tests.waiting import wait_for

BACK_SECONDS = 60


def rotate_master_key(world: World) -> None:
    """As docs/secrets.md says: the new key last, then first, then everything sealed anew, then the old one away."""
    cluster, name = world.cluster, "MONITORS_MASTER_KEYS"
    old, new = cluster.secrets[name], f"next:{base64.b64encode(secrets.token_bytes(32)).decode()}"
    for keys in (f"{old},{new}", f"{new},{old}"):
        cluster.secrets[name] = keys
        cluster.replace("notifier")
    cluster.run("notifier", "secrets", "rotate")
    cluster.secrets[name] = new
    cluster.replace("notifier")
    cluster.run("notifier", "secrets", "status")


def lose_redis(world: World) -> None:
    """It's killed and stays away for a while; then it's there again, empty."""
    world.backends.redis.kill()
    go_on(world)
    world.backends.redis.start()


def restart_mariadb(world: World) -> None:
    """It's shut down in order, and is back after some seconds."""
    world.backends.mariadb.restart()


def lose_influxdb(world: World) -> None:
    """It's stopped and started again."""
    world.influx.stop()
    world.influx.start()


DISTURBANCES: Mapping[str, Callable[[World], None]] = {
    "keys": rotate_master_key,
    "redis": lose_redis,
    "mariadb": restart_mariadb,
    "influxdb": lose_influxdb,
}
OUTAGES = ("mariadb", "influxdb")
"""What calls can't be answered without: they are refused, until it's back."""


def go_on(world: World) -> None:
    """Lets every caller have done something more."""
    before = dict(world.callers.done)
    wait_for(
        lambda: all(world.callers.done[name] > count for name, count in before.items()),
        "all callers to be answered again",
        BACK_SECONDS,
        every=0.05,
    )


@contextmanager
def tolerated(world: World) -> Iterator[list[str]]:
    """Takes away what fails meanwhile, and until all callers are answered again; it's told in the list given."""
    told: list[str] = []
    began = time.monotonic()
    yield told
    back = time.monotonic()
    go_on(world)
    failed = [*(f"{one.who}: {one.why}" for one in world.callers.failed), *world.refused]
    world.callers.failed.clear()
    world.refused.clear()
    later = time.monotonic() - back
    told += [
        f"{len(failed)} calls failed; away for {back - began:.1f} s, all were answered {later:.1f} s later",
        *sorted(set(failed))[:20],
    ]
