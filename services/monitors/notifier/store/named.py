"""Rows of many channels, each named by its tenant and its id, in one statement."""

import hashlib
from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, bindparam

Key = tuple[str, str]
"""A channel: its tenant and its id."""


def is_named(tenant: Any, channel: Any) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What to ask for, with the parameters of `names`: whatever has one of the tenants and one of the ids.

    Asked for pairs, SQLite would read the whole table. An id is hardly ever another tenant's as well, but may be.
    """
    return (
        tenant.in_(bindparam("tenants", expanding=True)),
        channel.in_(bindparam("channels", expanding=True)),
    )


def names(keys: Collection[Key]) -> dict[str, list[str]]:
    """The parameters for channels."""
    return {
        "tenants": sorted({tenant for tenant, _ in keys}),
        "channels": sorted({channel for _, channel in keys}),
    }


def stream_of(channel_id: str, stream_key: str) -> str:
    """The key of a stream within a channel, of fixed length."""
    return hashlib.sha256(f"{channel_id}\0{stream_key}".encode()).hexdigest()
