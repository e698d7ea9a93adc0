"""Silences between the contract's messages and the model."""

from typing import Any

from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.silences import Silence, check, ended
from monitors.notifier.policies.kinds import Kind, Making, Part
from monitors.notifier.store.silences import ROWS
from monitors.v1 import notification_pb2 as pb

PARTS = {
    "matchers": Part("matchers", lambda sent: read_matchers(sent.matchers, "silence.matchers")),
    "start_time": Part("start", lambda sent: from_timestamp(sent.start_time)),
    "end_time": Part("end", lambda sent: from_timestamp(sent.end_time)),
    "comment": Part("comment", lambda sent: sent.comment),
}


def _make(making: Making, parts: dict[str, Any]) -> Silence:
    parts["start"] = parts["start"] or making.now
    return Silence(making.tenant, making.id, **parts, creator=making.user, create_time=making.now)


def _show(silence: Silence) -> pb.Silence:
    return pb.Silence(
        id=silence.id,
        matchers=from_matchers(silence.matchers),
        start_time=to_timestamp(silence.start),
        end_time=to_timestamp(silence.end),
        comment=silence.comment,
        creator=silence.creator,
        etag=silence.etag,
    )


SILENCES = Kind("sil", ROWS, PARTS, _make, check, _show, rest=ended)
