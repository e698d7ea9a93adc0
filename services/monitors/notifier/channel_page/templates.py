"""What a channel's messages say, as a person enters it; what is left empty is said in the usual words."""

from collections.abc import Mapping

from monitors.notifier.kinds import Input
from monitors.v1 import notification_pb2 as pb

INPUTS = (
    Input("title_template", "Title", "Such as {{severity}}: {{title}}; the names are in docs/channels.md."),
    Input("body_template", "Text", "The same on several lines.", type="textarea"),
)
NAMES = frozenset({entry.field for entry in INPUTS})


def fill(channel: pb.Channel, values: Mapping[str, str]) -> None:
    """Writes what was entered into the message."""
    for name in sorted(NAMES):
        if values.get(name):
            # A browser ends lines as HTTP does.
            setattr(channel, name, values[name].replace("\r\n", "\n"))
