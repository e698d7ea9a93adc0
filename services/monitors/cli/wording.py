"""What a channel's messages say: options."""

from typing import Annotated

import typer

from monitors.v1.notification_pb2 import Channel

_HELP = "names as docs/channels.md lists them, and empty for the usual words."
Title = Annotated[
    str | None,
    typer.Option("--title-template", metavar="TEXT", help=f"Say this as title, such as '{{{{title}}}}': {_HELP}"),
]
Body = Annotated[str | None, typer.Option("--body-template", metavar="TEXT", help=f"Say this below the title: {_HELP}")]


def change(channel: Channel, title: str | None, body: str | None) -> list[str]:
    """Writes what options say into a message. Returns the names of the fields that they change."""
    given = {"title_template": title, "body_template": body}
    changed = {name: text for name, text in given.items() if text is not None}
    for name, text in changed.items():
        setattr(channel, name, text)
    return list(changed)
