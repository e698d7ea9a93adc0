"""Whether whoever asked for a link may still do so when it's used: a key may have ended meanwhile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.channel_links import ChannelLink
from monitors.mesh.channels import unavailable
from monitors.mesh.times import from_timestamp
from monitors.v1.key_pb2 import Key
from monitors.v1.rule_service_pb2 import ListKeysRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

PAGE = 1000
_KEY = re.compile(r"key_[0-9a-z]+")


class Makers:
    """Asks RuleService. Of users that aren't keys it can't be asked: their links end by themselves."""

    def __init__(self, rules: RuleServiceAsyncStub) -> None:
        self._rules = rules

    async def has_ended(self, link: ChannelLink, now: int) -> bool:
        """Whether the link was asked for with a key that has ended by `now`. Raises ServiceUnavailable."""
        if not _KEY.fullmatch(link.user):
            return False
        try:
            key = await self._find(link.tenant, link.user)
        except grpc.aio.AioRpcError as error:
            raise unavailable(error, "rules") from error
        if key is None or key.HasField("revoke_time"):
            return True
        return key.HasField("expire_time") and from_timestamp(key.expire_time) <= now

    async def _find(self, tenant: str, key_id: str) -> Key | None:
        token = ""
        while True:
            page = await self._rules.ListKeys(ListKeysRequest(tenant_id=tenant, page_size=PAGE, page_token=token))
            for key in page.keys:
                if key.id == key_id:
                    return key
            token = page.next_page_token
            if not token:
                return None
