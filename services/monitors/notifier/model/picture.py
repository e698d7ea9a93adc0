"""The picture that a message may carry."""

from dataclasses import dataclass

from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.message import Kind, Message

NAME = "chart.png"


@dataclass(frozen=True)
class Picture:
    """A PNG, and what it shows in words."""

    png: bytes
    words: str


def pictured(content: Content) -> Message | None:
    """The one message whose alert is to be shown; None if the content has no picture: many would be too many, and what
    was too large isn't made larger."""
    if isinstance(content, Bundle) or content.is_minimal:
        return None
    return content if content.fires or content.kind is Kind.RESOLVED else None
