"""NotifierService for the addresses of e-mail channels."""

from typing import Any

from monitors.mesh.secrets import Sealer
from monitors.notifier.answers import Answers
from monitors.notifier.auditing import caller
from monitors.notifier.inviting import Inviter
from monitors.notifier.translate import from_channel
from monitors.v1 import notifier_service_pb2 as pb


class AddressCalls:
    """What concerns whether addresses may be written to."""

    _answers: Answers
    _inviter: Inviter
    _sealer: Sealer

    async def VerifyChannel(self, request: pb.VerifyChannelRequest, context: Any) -> pb.VerifyChannelResponse:
        """Takes the code of an address that waits."""
        channel = await self._answers.enter(caller(), request.channel_id, request.code)
        return pb.VerifyChannelResponse(channel=from_channel(channel, self._sealer))

    async def SendVerification(self, request: pb.SendVerificationRequest, context: Any) -> pb.SendVerificationResponse:
        """Mails new codes."""
        channel, warnings = await self._inviter.ask_again(caller(), request.channel_id)
        return pb.SendVerificationResponse(channel=from_channel(channel, self._sealer), warnings=warnings)
