"""How a channel groups, between the contract's message and the model."""

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import from_duration, to_duration
from monitors.notifier.model.grouping import GroupBy, Grouping, check_grouping, default_grouping
from monitors.v1 import notification_pb2 as pb

_BY = {
    pb.GROUP_BY_ALONE: GroupBy.ALONE,
    pb.GROUP_BY_RULE: GroupBy.RULE,
    pb.GROUP_BY_MONITOR: GroupBy.MONITOR,
    pb.GROUP_BY_LABELS: GroupBy.LABELS,
}
_NUMBERS = {by: number for number, by in _BY.items()}


def read_grouping(sent: pb.Grouping, kind: str) -> Grouping:
    """The grouping of a channel of a kind; what isn't sent is as usual for the kind. Raises InvalidField."""
    usual = default_grouping(kind)
    if sent.by and sent.by not in _BY:
        raise InvalidField("channel.grouping.by", f"{sent.by} is unknown; send ALONE, RULE, MONITOR or LABELS")
    return check_grouping(
        Grouping(
            by=_BY.get(sent.by, usual.by),
            labels=tuple(sent.labels),
            wait=from_duration(sent.wait) if sent.HasField("wait") else usual.wait,
            interval=from_duration(sent.interval) if sent.HasField("interval") else usual.interval,
            holds_urgent=sent.hold_urgent,
            digest_above=sent.digest_above if sent.HasField("digest_above") else usual.digest_above,
        )
    )


def from_grouping(grouping: Grouping) -> pb.Grouping:
    """The message, with everything in it."""
    return pb.Grouping(
        by=_NUMBERS[grouping.by],
        labels=grouping.labels,
        wait=to_duration(grouping.wait),
        interval=to_duration(grouping.interval),
        hold_urgent=grouping.holds_urgent,
        digest_above=grouping.digest_above,
    )
