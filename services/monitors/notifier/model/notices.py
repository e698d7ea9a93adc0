"""What the notifier says of itself: that a channel is turned off, or that messages to it were given up.

It's told to the channel's owner another way, never through the channel that it's about, and never about a notice: so
none follows from another.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitors.mesh.times import DAY, HOUR
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.message import Severity


@dataclass(frozen=True)
class Notice:
    """A message from the notifier itself. `id` is the same however often it's made: it's told once."""

    tenant: str
    id: str
    title: str
    text: str
    severity: Severity = Severity.HIGH


def turned_off(channel: Channel, others: Iterable[Channel]) -> Notice:
    """That a channel is turned off. Names also those that were before: whoever was told of them may be this one."""
    more = sorted(one.name for one in others if one.off_reason and one.id != channel.id)
    also = f" Also turned off: {', '.join(more)}." if more else ""
    return Notice(
        channel.tenant,
        f"off_{channel.id}_{channel.revision}",
        f"The channel {channel.name} is turned off",
        f"{channel.unusable_reason}. Nothing more is sent to it until it's changed, or until "
        f"`monitors channels test {channel.name}` arrives.{also}",
    )


def given_up(channel: Channel, detail: str, now: int) -> Notice:
    """That a message to a channel was given up; once an hour, however many there are."""
    return Notice(
        channel.tenant,
        f"dead_{channel.id}_{now // HOUR}",
        f"Messages to the channel {channel.name} can't be delivered",
        f"{detail}. `monitors deliveries list --channel {channel.name} --state dead` shows what was given up, and "
        "`monitors deliveries retry` sends it again.",
    )


def has_unsubscribed(channel: Channel, address: str) -> Notice:
    """That somebody wants nothing more of a channel."""
    left = "" if not channel.unusable_reason else " Nobody is told by this channel any more."
    return Notice(
        channel.tenant,
        f"gone_{channel.id}_{channel.revision}",
        f"{address} has unsubscribed from the channel {channel.name}",
        f"Nothing more is sent to it.{left} To ask it again, leave it out of the channel and add it again.",
    )


def beyond_quota(tenant: str, allowed: str, now: int) -> Notice:
    """That more is to be told than the tenant's tier allows; once a day. It's as urgent as what has a share kept for
    it, since nobody would hear of it else."""
    return Notice(
        tenant,
        f"quota_{tenant}_{now // DAY}",
        "More messages wait than may be sent",
        f"{allowed[0].upper()}{allowed[1:]}. What goes beyond isn't lost: it waits, and is told as there is room, "
        "critical alerts first. Let alerts of a rule be told together, or have a higher tier.",
        Severity.CRITICAL,
    )


def listeners(channels: Sequence[Channel], about: str) -> list[Channel]:
    """Who is told of a notice about the channel of this id: the default channels that work; if there are none, another
    that works, a terminal last, which maybe nobody reads."""
    able = [one for one in channels if one.id != about and not one.unusable_reason]
    others = sorted(able, key=lambda one: (one.kind == "console", one.name))
    return [one for one in able if one.is_default] or others[:1]
