"""Reads the mails that ask whether alerts may come to an address, and answers them."""

import re
from email.message import EmailMessage

from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub

CODE = re.compile(r"^    ([0-9a-z]{4}-[0-9a-z]{4})$", re.MULTILINE)
LINK = re.compile(r"https?://\S+/channels/verify\?link=\S+")


def text_of(mail: EmailMessage) -> str:
    """Its plain text."""
    part = mail.get_body(("plain",))
    assert part is not None
    content: str = part.get_content().replace("\r\n", "\n")
    return content


def code_of(text: str) -> str:
    """The code in the text of a mail."""
    found = CODE.search(text)
    assert found, text
    return found.group(1)


def verify(stub: NotifierServiceStub, channel: str, *texts: str) -> None:
    """Enters the codes of mails, given by their text."""
    for text in texts:
        stub.VerifyChannel(pb.VerifyChannelRequest(channel_id=channel, code=code_of(text)))
