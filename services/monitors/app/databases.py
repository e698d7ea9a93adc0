"""`monitors db`: the schemas of the relational services, at the addresses in the environment."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from monitors.mesh.config import Settings
from monitors.mesh.database import Database
from monitors.mesh.database_urls import SQLITE


@dataclass(frozen=True)
class Standing:
    """How a service's schema stands. `problem` is empty if this version's service can work with it."""

    service: str
    version: str
    newest: str
    problem: str


def upgrade(settings: Settings) -> list[Standing]:
    """Brings both schemas to the newest version. Raises DatabaseUnusable."""
    return [_with(settings, service, Database.upgrade) for service in ("rules", "notifier")]


def check(settings: Settings) -> list[Standing]:
    """How both schemas stand; nothing is changed. Raises DatabaseUnusable."""
    return [_with(settings, service, lambda database: None) for service in ("rules", "notifier")]


def _with(settings: Settings, service: str, work: Callable[[Database], None]) -> Standing:
    url = (settings.rules if service == "rules" else settings.notifier).database_url
    if url.startswith(SQLITE):
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path("".join(url).removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    database = Database(url, name=service, migrations=f"monitors.{service}.migrations", connections=2)
    try:
        work(database)
        problem = database.schema_problem()
        version, newest = database.versions
        return Standing(service, version, newest, problem)
    finally:
        database.close()
