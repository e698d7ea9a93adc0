"""Channels: what they are named and told, and how they change."""

import hashlib
import re
from dataclasses import dataclass, replace
from enum import IntEnum

from monitors.mesh.errors import EtagMismatch, InvalidField, WrongState
from monitors.notifier.model.checks import shorten
from monitors.notifier.model.grouping import GroupBy, Grouping, default_grouping
from monitors.notifier.model.targets import LOST_REASON, EmailTarget, LostTarget, PagerDutyTarget, Target
from monitors.notifier.model.templates import MOST_OF_BODY, MOST_OF_TITLE, TemplateWrong, read
from monitors.notifier.model.verification import unheard_reason

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
ID_PREFIX = "chan_"
UNWORDED = {
    "console": "the terminal shows a line of its own; leave it out",
    "webhook": "a webhook's receiver reads fields, which say everything; leave it out, and let the receiver word it",
}
"""Why the messages of some kinds have no templates."""


class Reach(IntEnum):
    """Whom a channel reaches; the values are those of the contract's ChannelState."""

    UNVERIFIED = 1
    NOBODY = 2
    ALL = 3


@dataclass(frozen=True)
class Channel:
    """Where a tenant's people are told. `create_time` is nanoseconds since 1970."""

    tenant: str
    id: str
    name: str
    target: Target
    is_default: bool = False
    send_resolved: bool = True
    disabled_reason: str = ""
    create_time: int = 0
    revision: int = 1
    heartbeat_interval: int = 0
    """How often it's told that the mesh is alive, in nanoseconds; 0 is never."""
    own_grouping: Grouping | None = None
    """How it groups if that isn't as usual for its kind."""
    title_template: str = ""
    body_template: str = ""
    """What its messages say, as `templates` reads it; empty for the usual words."""
    tier: str = ""
    """The tenant's, as it was when somebody last changed or tested a channel; empty if it has none of its own."""

    @property
    def kind(self) -> str:
        """Its kind, as the contract names it."""
        return self.target.kind

    @property
    def grouping(self) -> Grouping:
        """How it groups."""
        return self.own_grouping or default_grouping(self.kind)

    @property
    def etag(self) -> str:
        """Changes with every change, and isn't that of another channel of the same name."""
        return hashlib.sha256(f"{self.id}/{self.revision}".encode()).hexdigest()[:12]

    @property
    def waits(self) -> bool:
        """Whether it works as soon as an address is verified."""
        target = self.target
        return isinstance(target, EmailTarget) and bool(target.waiting) and not target.receiving

    @property
    def off_reason(self) -> str:
        """Why it's turned off; empty if it isn't."""
        return LOST_REASON if isinstance(self.target, LostTarget) else self.disabled_reason

    @property
    def unusable_reason(self) -> str:
        """Why nothing can be sent to it; empty if it works."""
        return self.off_reason or unheard_reason(self.target, self.name)

    @property
    def reach(self) -> Reach:
        """Whether it tells anybody."""
        if self.waits and not self.off_reason:
            return Reach.UNVERIFIED
        return Reach.NOBODY if self.unusable_reason else Reach.ALL

    @property
    def suppression(self) -> str:
        """The same as the reason of what isn't sent."""
        return f"the channel is turned off: {self.off_reason}" if self.off_reason else self.unusable_reason


@dataclass(frozen=True)
class Change:
    """What to change of a channel; None leaves it as it is."""

    target: Target | None = None
    is_default: bool | None = None
    send_resolved: bool | None = None
    heartbeat_interval: int | None = None
    grouping: Grouping | None = None
    title_template: str | None = None
    body_template: str | None = None


def mail_target(channel: Channel) -> EmailTarget:
    """The addresses of a channel, each of which is verified. Raises InvalidField if it isn't of e-mail, and WrongState
    if they can't be read."""
    if isinstance(channel.target, EmailTarget):
        return channel.target
    if channel.kind == EmailTarget.kind:
        raise WrongState(f"the channel {channel.name!r}: {LOST_REASON}", metadata={"state": "lost"})
    raise InvalidField(
        "channel_id",
        f"the channel {channel.name!r} is of the kind {channel.kind!r}, and only e-mail channels have addresses to "
        f"verify; name one of those, or see with `monitors channels test {channel.name}` whether this one works",
    )


def apply_change(channel: Channel, change: Change, etag: str) -> Channel:
    """The changed channel. A new target makes a disabled channel work again. Raises EtagMismatch and InvalidField."""
    check_etag(channel, etag)
    changed = replace(
        channel,
        target=channel.target if change.target is None else change.target,
        disabled_reason=channel.disabled_reason if change.target is None else "",
        is_default=channel.is_default if change.is_default is None else change.is_default,
        send_resolved=channel.send_resolved if change.send_resolved is None else change.send_resolved,
        heartbeat_interval=(
            channel.heartbeat_interval if change.heartbeat_interval is None else change.heartbeat_interval
        ),
        own_grouping=change.grouping or channel.own_grouping,
        title_template=channel.title_template if change.title_template is None else change.title_template,
        body_template=channel.body_template if change.body_template is None else change.body_template,
        revision=channel.revision + 1,
    )
    check_fits(changed)
    return changed


def check_fits(channel: Channel) -> None:
    """Raises InvalidField if something is wanted that a channel of its kind can't do."""
    check_template(channel.kind, "title_template", channel.title_template)
    check_template(channel.kind, "body_template", channel.body_template)
    if not isinstance(channel.target, PagerDutyTarget):
        return
    grouping = channel.grouping
    if grouping.by is not GroupBy.ALONE or grouping.digest_above:
        raise InvalidField(
            "channel.grouping",
            "PagerDuty gets each alert as an incident of its own, so that it ends with it, and groups by itself; "
            "group by ALONE with digest_above 0, or leave it out",
        )
    if channel.heartbeat_interval:
        raise InvalidField(
            "channel.heartbeat_interval",
            "PagerDuty would make an incident of every heartbeat; leave it out, and let a webhook of a service that "
            "watches for silence have it",
        )


def check_template(kind: str, field: str, text: str) -> None:
    """Raises InvalidField if a template is wrong, or is for a kind of channel whose words aren't chosen."""
    if not text:
        return
    if kind in UNWORDED:
        raise InvalidField(f"channel.{field}", UNWORDED[kind])
    most = MOST_OF_TITLE if field == "title_template" else MOST_OF_BODY
    if len(text) > most:
        raise InvalidField(f"channel.{field}", f"has {len(text):,} characters; send at most {most:,}")
    if field == "title_template" and "\n" in text.strip():
        raise InvalidField(f"channel.{field}", "has several lines; a title is one line")
    try:
        read(text)
    except TemplateWrong as error:
        raise InvalidField(f"channel.{field}", f"{error}") from None


def check_etag(channel: Channel, etag: str) -> None:
    """Raises EtagMismatch if an etag was sent and isn't the channel's."""
    if etag and etag != channel.etag:
        raise EtagMismatch("channel", channel.name, etag, channel.etag)


def check_name(name: str) -> str:
    """The name if it's valid. Raises InvalidField."""
    if not NAME.fullmatch(name):
        raise InvalidField(
            "channel.name",
            f"{shorten(name)!r} isn't a channel name; send 1 to 64 of a–z, A–Z, 0–9, `-`, `_` and `.`, such as `ops`",
        )
    if name.startswith(ID_PREFIX):
        raise InvalidField("channel.name", f"{name!r} looks like an id; choose a name that doesn't begin with `chan_`")
    return name
