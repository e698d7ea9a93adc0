"""Where points come from besides our own endpoint."""

from urllib.parse import urlsplit

from monitors.evaluator.polling.acquaintance import OneOwner
from monitors.evaluator.polling.opening import Polling
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.settings import InfluxSettings, load_influx_settings
from monitors.mesh.config import BadSetting, Settings

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104
LOCAL_TENANT = "local"


def polling_of(settings: Settings) -> Polling | None:
    """The InfluxDB to read from, if INFLUXDB_URL names one. Raises BadSetting if it can't be read from."""
    influx = load_influx_settings() if settings.influxdb_url else None
    if influx is None:
        return None
    _check_address(settings, influx)
    return Polling(lambda: open_source(influx), OneOwner(settings.evaluator.poll.tenant or LOCAL_TENANT))


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
