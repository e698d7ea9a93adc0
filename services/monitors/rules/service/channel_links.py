"""RuleService: links by which people add channels."""

from typing import Any

from monitors.mesh.channel_links import LIFETIME, ChannelLink, link_url, sign
from monitors.mesh.errors import ServiceUnavailable
from monitors.mesh.identity import current_principal
from monitors.mesh.times import SECOND, to_timestamp
from monitors.rules.model.rule import check_line
from monitors.rules.service.base import Part, caller
from monitors.v1 import rule_service_pb2 as pb

LONGEST_NAME = 64


class ChannelLinkCalls(Part):
    """Links to the notifier's page."""

    async def CreateChannelLink(
        self, request: pb.CreateChannelLinkRequest, context: Any
    ) -> pb.CreateChannelLinkResponse:
        """A link for the caller."""
        who, name = caller(self.core.database.now()), request.channel_name
        for error in check_line("channel_name", name, LONGEST_NAME, "") if name else ():
            raise error
        # All pages are the same to a person; the newest is surely there.
        page = next(reversed(self.core.channel_pages.values()), None)
        if page is None:
            raise ServiceUnavailable("notifier")
        expire_time = (who.now + LIFETIME) // SECOND * SECOND
        link = ChannelLink(who.tenant, who.user, name, expire_time, tier=current_principal().tier)
        token = sign(link, page.key)
        response = pb.CreateChannelLinkResponse(url=link_url(page.url, token), expire_time=to_timestamp(expire_time))
        # Nothing is stored of a link but that it was made.
        made = {"channelName": name, "expireTime": response.expire_time.ToJsonString()}
        await self.audited("CreateChannelLink", lambda _, who: who.changed("channel_link", link.id, None, made))
        return response
