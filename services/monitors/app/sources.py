"""Where points come from besides our own endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from monitors.evaluator.polling.acquaintance import OneOwner
from monitors.evaluator.polling.opening import Polling
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.settings import InfluxSettings, load_influx_settings
from monitors.mesh.config import LOCAL_TENANT, BadSetting, Settings
from monitors.mesh.identity.existing import ExistingDatabase
from monitors.mesh.identity.owners import MonitorsTable, Owners

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104  # nosec B104


@contextmanager
def polling_of(settings: Settings) -> Iterator[Polling | None]:
    """The InfluxDB to read from, if INFLUXDB_URL names one. Raises BadSetting if it can't be read from."""
    influx = load_influx_settings() if settings.influxdb_url else None
    if influx is None:
        yield None
        return
    _check_address(settings, influx)
    with _owners(settings) as owners:
        yield Polling(lambda: open_source(influx), owners)


@contextmanager
def _owners(settings: Settings) -> Iterator[Owners]:
    """Whose the monitors are: one tenant's, if it's named, else whose the user system says, or else the local one's."""
    url, tenant = settings.rules.identity.database_url, settings.evaluator.poll.tenant
    if tenant or not url:
        yield OneOwner(tenant or LOCAL_TENANT)
        return
    database = ExistingDatabase(url)
    try:
        yield MonitorsTable(database)
    finally:
        database.close()


def _check_address(settings: Settings, influx: InfluxSettings) -> None:
    """Our own endpoint takes points and has none to give."""
    url = urlsplit("".join(influx.url))
    host = url.hostname or ""
    own_host = host == settings.host or (host in LOOPBACK and settings.host in LOOPBACK)
    if own_host and (url.port or 8086) == settings.http_port:
        raise BadSetting(
            f"INFLUXDB_URL {influx.url!r} is this mesh's own endpoint; "
            "name the InfluxDB to read from, or unset it and write to the mesh directly"
        )
