"""What a person enters on the page, between an HTML form and the contract's message."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from monitors.mesh.errors import MeshError
from monitors.notifier.channel_page import grouping, templates
from monitors.notifier.kinds import KINDS, Input
from monitors.v1 import notification_pb2 as pb

LINK, NAME, KIND, IS_DEFAULT, SEND_RESOLVED = "link", "name", "kind", "is_default", "send_resolved"
SEPARATORS = re.compile(r"[\s,;]+")
MOST_FIELDS = 50
GENERAL = ""
"""Where a problem stands that belongs to no input."""


@dataclass(frozen=True)
class Entries:
    """A form's content. `values` has what was entered for the kinds, grouping and templates, by the names of the
    inputs."""

    name: str = ""
    kind: str = ""
    is_default: bool = False
    send_resolved: bool = True
    values: Mapping[str, str] = field(default_factory=dict, repr=False)


def input_name(kind: str, entry: Input) -> str:
    """The HTML name of a kind's input, which is the path of its field."""
    return f"{kind}.{entry.field}"


def _input_names() -> set[str]:
    return {input_name(kind, entry) for kind, known in KINDS.items() for entry in known.inputs}


def read_form(body: bytes) -> tuple[str, Entries]:
    """The link's token and the entries of a URL-encoded form. Raises ValueError if it isn't one."""
    pairs = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS))
    names = _input_names() | grouping.NAMES | templates.NAMES
    entries = Entries(
        name=pairs.get(NAME, "").strip(),
        kind=pairs.get(KIND, ""),
        is_default=IS_DEFAULT in pairs,
        send_resolved=SEND_RESOLVED in pairs,
        values={name: value.strip() for name, value in pairs.items() if name in names},
    )
    return pairs.get(LINK, ""), entries


def to_channel(entries: Entries) -> pb.Channel:
    """The channel to make; without a kind if none was chosen. Raises InvalidField and InvalidFields."""
    channel = pb.Channel(name=entries.name, is_default=entries.is_default, send_resolved=entries.send_resolved)
    if entries.kind in KINDS:
        message = getattr(channel, entries.kind)
        message.SetInParent()
        for entry in KINDS[entries.kind].inputs:
            value = entries.values.get(input_name(entries.kind, entry), "")
            if entry.type == "textarea":
                getattr(message, entry.field).extend(part for part in SEPARATORS.split(value) if part)
            else:
                setattr(message, entry.field, value)
    told_together = grouping.to_grouping(entries.values)
    if told_together:
        channel.grouping.CopyFrom(told_together)
    templates.fill(channel, entries.values)
    return channel


def problems_of(error: MeshError) -> dict[str, str]:
    """What is wrong, by the name of the input where it stands."""
    if error.code == "ALREADY_EXISTS":
        return {NAME: error.message}
    return dict(_problems(error)) or {GENERAL: error.message}


def _problems(error: MeshError) -> Iterator[tuple[str, str]]:
    names = {NAME, KIND, *_input_names(), *grouping.NAMES, *templates.NAMES}
    for violation in error.violations:
        name = violation.field.removeprefix("channel.")
        yield name if name in names else GENERAL, violation.description
