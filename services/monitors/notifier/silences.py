"""Silences between the contract's messages and the model."""

from dataclasses import replace

from monitors.mesh.errors import InvalidField
from monitors.mesh.ids import new_id
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.checks import shorten
from monitors.notifier.model.silences import Silence, check_change, check_new
from monitors.v1 import notification_pb2 as pb
from monitors.v1.notifier_service_pb2 import UpdateSilenceRequest

CHANGEABLE = ("matchers", "start_time", "end_time", "comment")


def read_silence(sent: pb.Silence, tenant: str, creator: str, now: int) -> Silence:
    """A silence to make. Raises InvalidFields."""
    silence = Silence(
        tenant=tenant,
        id=new_id("sil"),
        matchers=read_matchers(sent.matchers, "silence.matchers"),
        start=from_timestamp(sent.start_time) if sent.HasField("start_time") else now,
        end=from_timestamp(sent.end_time),
        comment=sent.comment,
        creator=creator,
        create_time=now,
    )
    return check_new(silence, now)


def read_change(request: UpdateSilenceRequest, before: Silence, now: int) -> Silence:
    """What an update makes of a silence. Raises InvalidField for an unknown path, and InvalidFields."""
    sent = request.silence
    present = {
        "matchers": bool(sent.matchers),
        "start_time": sent.HasField("start_time"),
        "end_time": sent.HasField("end_time"),
        "comment": bool(sent.comment),
    }
    paths = set(request.update_mask.paths) or {path for path, is_set in present.items() if is_set}
    for path in sorted(paths.difference(CHANGEABLE)):
        raise InvalidField("update_mask", f"{shorten(path)!r} can't be changed; name some of {', '.join(CHANGEABLE)}")
    after = replace(
        before,
        matchers=read_matchers(sent.matchers, "silence.matchers") if "matchers" in paths else before.matchers,
        start=from_timestamp(sent.start_time) if "start_time" in paths else before.start,
        end=from_timestamp(sent.end_time) if "end_time" in paths else before.end,
        comment=sent.comment if "comment" in paths else before.comment,
    )
    return check_change(before, after, now)


def from_silence(silence: Silence) -> pb.Silence:
    """The message."""
    return pb.Silence(
        id=silence.id,
        matchers=from_matchers(silence.matchers),
        start_time=to_timestamp(silence.start),
        end_time=to_timestamp(silence.end),
        comment=silence.comment,
        creator=silence.creator,
        etag=silence.etag,
    )
