"""Asks URLs whether they are up: status, response time, and how long their certificate is still good."""

import asyncio
import ssl
import time
from datetime import UTC, datetime

import aiohttp

from monitors.collectors.lines import Field, format_line
from monitors.collectors.targets import Target

CHECK_SECONDS = 10.0
# A certificate changes rarely; asking for it is a connection of its own.
CERTIFICATE_SECONDS = 60.0
SECONDS_PER_DAY = 86_400.0
USER_AGENT = "monitors-check/0.1"


def open_session() -> aiohttp.ClientSession:
    """A session whose every request is a new connection, so that the response time has all of its parts."""
    return aiohttp.ClientSession(
        # nosemgrep: http-client-past-the-guard (what is to be watched is named by whoever starts it)
        connector=aiohttp.TCPConnector(force_close=True, use_dns_cache=False),
        headers={"User-Agent": USER_AGENT},
        timeout=aiohttp.ClientTimeout(total=CHECK_SECONDS),
        trust_env=False,
    )


class Checker:
    """Asks one target again and again."""

    def __init__(self, target: Target, session: aiohttp.ClientSession) -> None:
        self._target = target
        self._session = session
        self._expiry: float | None = None
        self._expiry_read = -CERTIFICATE_SECONDS

    async def check(self) -> list[str]:
        """Asks once, within 10 seconds. The point has the time at which it was asked.

        `is_up` is 1 if the answer's status is below 400 (redirects count and aren't followed), else 0; `response_time`
        is in milliseconds until the answer's head, connecting included, and missing without an answer;
        `tls_days_left` is negative once the certificate has expired.
        """
        now = time.time_ns()
        fields, _ = await asyncio.gather(self._ask(), self._read_certificate())
        if self._expiry is not None:
            fields["tls_days_left"] = (self._expiry - now / 1e9) / SECONDS_PER_DAY
        tags = {"monitor_id": self._target.monitor_id, "url": self._target.label}
        return [format_line("check", tags, fields, now)]

    async def _ask(self) -> dict[str, Field]:
        start = time.perf_counter()
        try:
            async with self._session.get(self._target.url, allow_redirects=False) as response:
                elapsed = (time.perf_counter() - start) * 1000
                is_up = int(response.status < 400)
                return {"is_up": is_up, "status_code": response.status, "response_time": elapsed}
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            # Whatever went wrong on the way to an answer, from the name to the certificate: it isn't up.
            return {"is_up": 0}

    async def _read_certificate(self) -> None:
        if not self._target.is_https or time.monotonic() - self._expiry_read < CERTIFICATE_SECONDS:
            return
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                self._expiry = await certificate_expiry(self._target.host, self._target.port)
            self._expiry_read = time.monotonic()
        except (OSError, TimeoutError, ValueError):
            self._expiry = None


async def certificate_expiry(host: str, port: int) -> float:
    """When the server's certificate ends, in seconds since 1970. Raises OSError, TimeoutError or ValueError.

    The certificate isn't verified here: that an expired one has expired is just what is to be told.
    """
    from cryptography import x509

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nosemgrep: tls-that-checks-nothing
    context.verify_mode = ssl.CERT_NONE  # nosemgrep: tls-that-checks-nothing
    # nosemgrep: socket-past-the-guard
    _, stream = await asyncio.open_connection(host, port, ssl=context, server_hostname=host)
    try:
        encoded = stream.get_extra_info("ssl_object").getpeercert(binary_form=True)
        end: datetime = x509.load_der_x509_certificate(encoded).not_valid_after_utc
        return end.astimezone(UTC).timestamp()
    finally:
        stream.transport.abort()
