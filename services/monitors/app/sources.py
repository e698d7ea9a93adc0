"""Where points come from besides our own endpoint."""

from urllib.parse import urlsplit

from monitors.mesh.config import BadSetting, Settings

LOOPBACK = {"localhost", "127.0.0.1", "::1", "0.0.0.0"}  # noqa: S104


def check_source(settings: Settings) -> None:
    """Raises BadSetting if INFLUXDB_URL can't be used: our own endpoint takes points and has none to give."""
    if not settings.influxdb_url:
        return
    url = urlsplit(settings.influxdb_url)
    host = url.hostname or ""
    own_host = host == settings.host or (host in LOOPBACK and settings.host in LOOPBACK)
    if own_host and (url.port or 8086) == settings.http_port:
        raise BadSetting(
            f"INFLUXDB_URL {settings.influxdb_url!r} is this mesh's own endpoint; "
            "name the InfluxDB to read from, or unset it and write to the mesh directly"
        )
    raise BadSetting(
        "INFLUXDB_URL is set, but reading from an InfluxDB isn't available yet; unset it and let your writers "
        "(Telegraf, influxdb-client) write to the mesh's own endpoint as well"
    )
