"""TLS for those who call the bridge: its certificate out of files that may be replaced while it runs."""

from __future__ import annotations

import logging
import ssl
import time
from typing import Any

from monitors.bridge.settings import BadSetting, ServedFiles

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""


def https_context(files: ServedFiles) -> ssl.SSLContext:
    """What a server speaks TLS with, at each handshake by the files that there are by then. Its clients need no
    certificate. Raises BadSetting."""
    try:
        present, seen = _context(files), files.stamp()
    except (OSError, ssl.SSLError) as error:
        raise BadSetting(
            f"MONITORS_MCP_TLS_CERT_FILE, MONITORS_MCP_TLS_KEY_FILE: {files.certificate} and {files.key} aren't a "
            "certificate and its key, without a password, in PEM"
        ) from error
    looked = time.monotonic()

    def choose(connection: Any, _: str | None, __: ssl.SSLContext) -> None:
        nonlocal present, seen, looked
        if time.monotonic() - looked >= LOOK_SECONDS:
            looked = time.monotonic()
            try:
                if (stamp := files.stamp()) != seen:
                    present, seen = _context(files), stamp
            except (OSError, ssl.SSLError):
                log.warning("%s and %s can't be used; what was there before stays in use", files.certificate, files.key)
        connection.context = present

    present.sni_callback = choose
    return present


def _context(files: ServedFiles) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    return context
