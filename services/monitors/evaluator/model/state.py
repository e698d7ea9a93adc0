"""What is remembered of each instance between evaluations, and how it is saved."""

import json
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import NEVER, UNSET, Columns, Layout, Places
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.spec import InstanceKey

# How many outages are remembered; absence that reaches back past all of them is rare and merely told late.
GAP_LIMIT = 16
_MAGIC = b"MES1"
_LENGTH = struct.Struct("<I")
_SAVED = ("status", "active_at", "fired_at", "false_since", "frozen_since", "missing_since", "last_instant")


class Truth(IntEnum):
    """What a condition says at an instant."""

    FALSE = 0
    TRUE = 1
    UNKNOWN = 2


class Status(IntEnum):
    """Where an instance is in its life."""

    INACTIVE = 0
    PENDING = 1
    FIRING = 2


class InstanceStates(Columns):
    """One entry for each place of the plan. Times are nanoseconds, UNSET where there is none."""

    status: NDArray[np.int8]
    active_at: Int64s
    """Since when the condition is true; the number of the episode."""
    fired_at: Int64s
    false_since: Int64s
    """Since when a firing instance's condition is false (it keeps firing for a while)."""
    frozen_since: Int64s
    """Since when the condition is unknown and the policy keeps the state; no clock runs meanwhile."""
    missing_since: Int64s
    """Since when the series is missing while others of its scope report, with the policy to resolve then."""
    last_instant: Int64s
    """The newest instant that came from a point or changed anything; older points are not evaluated any more."""
    next_slot: Int64s
    due: Int64s
    """When a deadline is reached: for, keep-firing, absence, missing series. NEVER if there is none."""

    LAYOUT: ClassVar[Layout] = {
        "status": (np.int8, Status.INACTIVE),
        "active_at": (np.int64, UNSET),
        "fired_at": (np.int64, UNSET),
        "false_since": (np.int64, UNSET),
        "frozen_since": (np.int64, UNSET),
        "missing_since": (np.int64, UNSET),
        "last_instant": (np.int64, UNSET),
        "next_slot": (np.int64, NEVER),
        "due": (np.int64, NEVER),
    }


@dataclass(frozen=True)
class SavedInstance:
    """An instance as it was saved."""

    revision: int
    status: Status
    active_at: int
    fired_at: int
    false_since: int
    frozen_since: int
    missing_since: int
    last_instant: int


@dataclass(frozen=True)
class OpenEpisode:
    """A firing episode as RuleService has it. Times are nanoseconds; `episode` is when its condition became true."""

    key: InstanceKey
    episode: int
    fired_at: int


@dataclass(frozen=True)
class Checkpoint:
    """The state after everything up to a batch was evaluated and what came of it was recorded."""

    batch_number: int
    watermark: int
    """Up to when everything had been evaluated, in nanoseconds."""
    resumed_at: int = UNSET
    gaps: tuple[tuple[int, int], ...] = ()
    """The outages of the evaluator itself, (start, end], oldest first."""
    instances: dict[InstanceKey, SavedInstance] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The saved form: magic, length of a JSON head, head, then the columns as little-endian int64; compressed."""
        head = json.dumps(
            {
                "batch": self.batch_number,
                "watermark": self.watermark,
                "resumed_at": self.resumed_at,
                "gaps": self.gaps,
                "keys": list(self.instances),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        rows = [[one.revision, *(int(getattr(one, name)) for name in _SAVED)] for one in self.instances.values()]
        columns = np.array(rows, dtype="<i8").reshape(len(rows), 1 + len(_SAVED))
        body = _LENGTH.pack(len(head)) + head + columns.tobytes()
        return _MAGIC + zlib.compress(body, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Reads what `to_bytes` made. Raises ValueError if it's something else or damaged."""
        if not data.startswith(_MAGIC):
            raise ValueError(f"not a saved state of this format: it begins with {data[:4]!r}, not {_MAGIC!r}")
        try:
            body = zlib.decompress(data[len(_MAGIC) :])
            (length,) = _LENGTH.unpack_from(body)
            head = json.loads(body[_LENGTH.size : _LENGTH.size + length])
            columns = np.frombuffer(body[_LENGTH.size + length :], dtype="<i8").reshape(-1, 1 + len(_SAVED))
            instances = {
                InstanceKey(tenant, rule_id, monitor, tuple((name, value) for name, value in tags)): SavedInstance(
                    row[0], Status(row[1]), *row[2:]
                )
                for (tenant, rule_id, monitor, tags), row in zip(head["keys"], columns.tolist(), strict=True)
            }
            gaps = tuple((start, end) for start, end in head["gaps"])
            return cls(head["batch"], head["watermark"], head["resumed_at"], gaps, instances)
        except (zlib.error, struct.error, KeyError, TypeError, ValueError) as error:
            raise ValueError("the saved state is damaged") from error


class State:
    """The state of all instances, and the times that they share."""

    def __init__(self, watermark: int) -> None:
        self.instances = InstanceStates()
        self.watermark = watermark
        """Up to when everything has been evaluated."""
        self.resumed_at = UNSET
        self.gaps: list[tuple[int, int]] = []
        self.missed_slots = 0
        self.earliest = NEVER
        """Nothing is due before this; it may be earlier than what really comes next."""

    def set_slots(self, places: Places, intervals: Int64s) -> None:
        """Makes the next multiple of the interval after the watermark each instance's next slot."""
        slots = (self.watermark // intervals + 1) * intervals
        self.instances.next_slot[places] = slots
        if len(slots):
            self.earliest = min(self.earliest, int(slots.min()))

    def outage_since(self, newest: Int64s) -> Int64s:
        """How much of the time after each of `newest` we were away ourselves, so that silence says nothing."""
        away = np.zeros(len(newest), dtype=np.int64)
        for start, end in self.gaps:
            away += np.clip(end - np.maximum(newest, start), 0, None)
        return away

    def add_gap(self, start: int, end: int) -> None:
        """Remembers an outage of ours."""
        self.gaps = [*self.gaps, (start, end)][-GAP_LIMIT:]
