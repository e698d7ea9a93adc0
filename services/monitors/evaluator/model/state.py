"""What is remembered of each instance between evaluations, and how it is saved."""

import json
import struct
import zlib
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from monitors.evaluator.model.arrays import NEVER, UNSET, Booleans, Columns, Layout, Places
from monitors.evaluator.model.series import Int64s
from monitors.evaluator.model.shards import SHARD_COUNT
from monitors.evaluator.model.spec import InstanceKey

# How many outages are remembered; absence that reaches back past all of them is rare and merely told late.
GAP_LIMIT = 16
_MAGIC = b"MES2"
_LENGTH = struct.Struct("<I")
CLOCKS = ("active_at", "false_since", "frozen_since", "missing_since")
_SAVED = ("status", "active_at", "fired_at", "false_since", "frozen_since", "missing_since", "changed_at")


@dataclass(frozen=True)
class Gap:
    """An outage of ours, (start, end] in nanoseconds, and whether each shard suffered it."""

    start: int
    end: int
    shards: Booleans


class Truth(IntEnum):
    """What a condition says at an instant."""

    FALSE = 0
    TRUE = 1
    UNKNOWN = 2


class Status(IntEnum):
    """Where an instance is in its life. What doesn't hold and is INACTIVE, or holds and is FIRING, is at rest."""

    INACTIVE = 0
    FIRING = 1
    PENDING = 2


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
    clocked: NDArray[np.bool_]
    """Whether any of the three clocks above runs."""
    level: NDArray[np.int8]
    """At which severity it fires, if its rule has levels."""
    silent: NDArray[np.bool_]
    """Whether it fires without an alert, because somebody resolved that."""
    changed_at: Int64s
    """The newest instant that changed anything; nothing older is evaluated any more."""
    fingerprint: Int64s
    """A hash of its key and revision, 0 before it was asked for: how a checkpoint names what fires."""
    due: Int64s
    """When a deadline is reached: for, keep-firing, absence, missing series. NEVER if there is none."""

    LAYOUT: ClassVar[Layout] = {
        "status": (np.int8, Status.INACTIVE),
        "active_at": (np.int64, UNSET),
        "fired_at": (np.int64, UNSET),
        "false_since": (np.int64, UNSET),
        "frozen_since": (np.int64, UNSET),
        "missing_since": (np.int64, UNSET),
        "clocked": (np.bool_, False),
        "level": (np.int8, 0),
        "silent": (np.bool_, False),
        "changed_at": (np.int64, UNSET),
        "fingerprint": (np.int64, 0),
        "due": (np.int64, NEVER),
    }

    def clocks(self, places: Places) -> list[Int64s]:
        """The columns CLOCKS at some places. Memory isn't looked at for those of which none runs, which is usual."""
        runs = bool(self.clocked[places].any())
        resting = np.full(0 if runs else len(places), UNSET, dtype=np.int64)
        return [self.active_at[places], *(getattr(self, name)[places] if runs else resting for name in CLOCKS[1:])]


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
    changed_at: int
    level: int = 0


@dataclass(frozen=True)
class OpenEpisode:
    """A firing episode as RuleService has it. Times are nanoseconds; `episode` is when its condition became true.

    `level` is its severity, and `leveled_at` since when that is another one than when it fired.
    """

    key: InstanceKey
    episode: int
    fired_at: int
    level: int = 0
    leveled_at: int = UNSET

    @property
    def changed_at(self) -> int:
        """When it last became what it is."""
        return max(self.fired_at, self.leveled_at)


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
    firing: bytes = b""
    """Fingerprints, as little-endian int64, of what fires and isn't among `instances`."""

    def to_bytes(self) -> bytes:
        """The saved form: magic, length of a JSON head, head, then the columns as little-endian int64; compressed.

        What fires follows as it is, since hashes don't get shorter. Levels are in the head, where a reader that knows
        none passes them over.
        """
        head = json.dumps(
            {
                "batch": self.batch_number,
                "watermark": self.watermark,
                "resumed_at": self.resumed_at,
                "gaps": self.gaps,
                "keys": list(self.instances),
                "levels": [(at, one.level) for at, one in enumerate(self.instances.values()) if one.level],
                "firing": len(self.firing),
            },
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode()
        rows = [[one.revision, *(int(getattr(one, name)) for name in _SAVED)] for one in self.instances.values()]
        columns = np.array(rows, dtype="<i8").reshape(len(rows), 1 + len(_SAVED))
        body = _LENGTH.pack(len(head)) + head + columns.tobytes()
        return _MAGIC + zlib.compress(body, 1) + self.firing

    @classmethod
    def from_bytes(cls, data: bytes) -> "Checkpoint":
        """Reads what `to_bytes` made. Raises ValueError if it's something else or damaged."""
        if not data.startswith(_MAGIC):
            raise ValueError(f"not a saved state of this format: it begins with {data[:4]!r}, not {_MAGIC!r}")
        try:
            inflating = zlib.decompressobj()
            body = inflating.decompress(data[len(_MAGIC) :])
            (length,) = _LENGTH.unpack_from(body)
            head = json.loads(body[_LENGTH.size : _LENGTH.size + length])
            columns = np.frombuffer(body[_LENGTH.size + length :], dtype="<i8").reshape(-1, 1 + len(_SAVED))
            levels = dict(head.get("levels", ()))
            rows = [[*row, levels.get(at, 0)] for at, row in enumerate(columns.tolist())]
            instances = {
                InstanceKey(tenant, rule_id, monitor, tuple((name, value) for name, value in tags)): SavedInstance(
                    row[0], Status(row[1]), *row[2:]
                )
                for (tenant, rule_id, monitor, tags), row in zip(head["keys"], rows, strict=True)
            }
            gaps = tuple((start, end) for start, end in head["gaps"])
            if not inflating.eof or len(inflating.unused_data) != head["firing"] or head["firing"] % 8:
                raise ValueError("cut off")
            return cls(head["batch"], head["watermark"], head["resumed_at"], gaps, instances, inflating.unused_data)
        except (zlib.error, struct.error, KeyError, TypeError, ValueError) as error:
            raise ValueError("the saved state is damaged") from error


class State:
    """The state of all instances, and the times that they share."""

    def __init__(self, watermark: int) -> None:
        self.instances = InstanceStates()
        self.watermark = watermark
        """Up to when everything has been evaluated."""
        self.resumed_at: Int64s = np.full(SHARD_COUNT, UNSET, dtype=np.int64)
        """By shard: when its evaluation last went on after an outage of ours."""
        self.gaps: list[Gap] = []
        self.missed_slots = 0
        self.earliest = NEVER
        """No deadline is reached before this; it may be earlier than what really comes next."""

    def outage_since(self, newest: Int64s, shards: NDArray[np.uint8]) -> Int64s:
        """How much of the time after each of `newest` its shard wasn't evaluated, so that silence says nothing."""
        away = np.zeros(len(newest), dtype=np.int64)
        for gap in self.gaps:
            away += np.where(gap.shards[shards], np.clip(gap.end - np.maximum(newest, gap.start), 0, None), 0)
        return away

    def add_gap(self, gap: Gap) -> None:
        """Remembers an outage of ours."""
        self.gaps = [*self.gaps, gap][-GAP_LIMIT:]
