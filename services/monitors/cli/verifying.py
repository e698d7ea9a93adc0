"""Which addresses of a channel are written to, and how one is verified."""

from typing import Annotated

import typer

from monitors.cli import documents
from monitors.cli.client import connected
from monitors.cli.options import AsJson
from monitors.cli.output import print_json, say, warn
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel

Name = Annotated[str, typer.Argument(metavar="NAME", help="The channel's name or id.")]


def state_of(channel: Channel) -> str:
    """Why nothing is sent to a channel, or to which of its addresses nothing is; `ok` if all get everything."""
    if channel.disabled_reason:
        return channel.disabled_reason
    told = []
    if channel.email.waiting_addresses:
        told.append(f"waits for verification: {', '.join(channel.email.waiting_addresses)}")
    if channel.email.unsubscribed_addresses:
        told.append(f"unsubscribed: {', '.join(channel.email.unsubscribed_addresses)}")
    return "; ".join(told) or "ok"


def verify(
    name: Name,
    code: Annotated[str, typer.Argument(metavar="[CODE]", help="The code from the mail.")] = "",
    again: Annotated[bool, typer.Option("--again", help="Mail another code to each address that waits.")] = False,
    as_json: AsJson = False,
) -> None:
    """Enter the code that was mailed to an address: from then on alerts go there."""
    if bool(code) == again:
        raise typer.BadParameter("give either the code or --again")
    warnings: list[str] = []
    with connected() as mesh:
        if again:
            sent = mesh.call(mesh.notifier.SendVerification, pb.SendVerificationRequest(channel_id=name))
            channel, warnings = sent.channel, list(sent.warnings)
        else:
            request = pb.VerifyChannelRequest(channel_id=name, code=code)
            channel = mesh.call(mesh.notifier.VerifyChannel, request).channel
    warn(warnings)
    if as_json:
        print_json({"channel": documents.channel_document(channel), "warnings": warnings})
        return
    waiting = ", ".join(channel.email.waiting_addresses)
    if again and waiting:
        say(f"A mail with another code goes to {waiting}, unless it got several lately")
    else:
        say(f"The channel {channel.name}: {f'{waiting} still waits' if waiting else 'no address waits any more'}")
