"""Which InfluxDB answers at an address, and the source that speaks its language."""

import json
from dataclasses import replace
from http import HTTPStatus

import aiohttp

from monitors.evaluator.sources.errors import SourceRefused, SourceUnavailable
from monitors.evaluator.sources.http import again, open_session, unreachable
from monitors.evaluator.sources.influxql import InfluxqlSource
from monitors.evaluator.sources.port import Source, Version
from monitors.evaluator.sources.settings import NO_SECRET, InfluxSettings

HEADER = "X-Influxdb-Version"
LONGEST_HEALTH = 65_536


async def open_source(settings: InfluxSettings) -> Source:
    """Asks the server what it is, unless the settings say it. Raises SourceUnavailable and SourceRefused."""
    if settings.major is None:
        async with open_session(replace(settings, token=NO_SECRET, username="")) as session:
            version = await again(lambda: detect(settings, session))
    else:
        version = Version(settings.major, str(settings.major))
    settings = replace(settings, major=version.major)
    if version.major == 2:
        # Half a second of imports that only this source needs.
        from monitors.evaluator.sources.flux import FluxSource

        return FluxSource(settings, version)
    return InfluxqlSource(settings, version, open_session(settings))


async def detect(settings: InfluxSettings, session: aiohttp.ClientSession) -> Version:
    """What the server says it is: in a header of /ping, else in the body of /ping or /health. No credential is sent."""
    for path in ("/ping", "/health"):
        try:
            async with session.get(f"{settings.url}{path}", allow_redirects=False) as response:
                body = await response.content.read(LONGEST_HEALTH)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise unreachable(error) from error
        if response.status >= HTTPStatus.INTERNAL_SERVER_ERROR and response.status != HTTPStatus.NOT_IMPLEMENTED:
            raise SourceUnavailable(f"can't answer now: status {response.status}", response.status, again=True)
        said = response.headers.get(HEADER) or _version_in(body)
        major = said.removeprefix("v").partition(".")[0]
        if major in ("1", "2", "3"):
            return Version(int(major), "".join(character for character in said[:40] if character.isprintable()))
    raise SourceRefused("doesn't say of which version it is; check INFLUXDB_URL, or set INFLUXDB_VERSION to 1, 2 or 3")


def _version_in(body: bytes) -> str:
    try:
        return str(json.loads(body)["version"])
    except (ValueError, KeyError, TypeError):
        return ""
