"""What a notifier has claimed and is about to send, and what came of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from monitors.mesh.rows import Row
from monitors.notifier.model.bundle import bundle_id
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Decision, Outcome, OutcomeKind
from monitors.notifier.model.message import Kind
from monitors.notifier.model.storm import is_digest
from monitors.notifier.store.standing import Sent, outcome_so_far


class Part(NamedTuple):
    """A delivery that a claim covers. `attempt` counts from 1."""

    delivery_id: str
    payload: bytes
    attempt: int
    alert_id: str
    kind: Kind
    stream_key: str


@dataclass(frozen=True)
class Claim:
    """Deliveries that are told by one message, which is ours to attempt until `lease_until`; in the order of their
    sequence."""

    tenant: str
    channel: Channel
    kind: Kind
    """What the first of them tells."""
    parts: tuple[Part, ...]
    message_id: str
    """Empty if it tells one delivery, for that has an id of its own."""
    broken_before: bool
    lease_token: str
    lease_until: int
    is_digest: bool = False
    is_critical: bool = False
    is_minimal: bool = False
    """Whether it's told in its minimal form, since the whole was too large."""

    @property
    def delivery_id(self) -> str:
        """The first of the deliveries, by which the log names the message."""
        return self.parts[0].delivery_id

    def sent(self, part: Part, row: Row) -> Sent:
        """A delivery of the message with what its row says now."""
        return Sent(
            self.tenant, part.delivery_id, part.alert_id, part.kind, part.stream_key, row.attempt_count, row.version
        )

    @property
    def keys(self) -> list[tuple[str, str]]:
        """The deliveries, each by its tenant and id."""
        return [(self.tenant, part.delivery_id) for part in self.parts]

    @property
    def attempt(self) -> int:
        """The number of the attempt for what was tried most often."""
        return max([part.attempt for part in self.parts])

    @property
    def fewest_attempts(self) -> int:
        """The number of the attempt for what was tried least often."""
        return min([part.attempt for part in self.parts])


@dataclass(frozen=True)
class Finished:
    """An attempt that has ended, with what follows from it."""

    claim: Claim
    outcome: Outcome
    decision: Decision
    started_at: int
    ended_at: int


def claim_of(message: Sequence[Row], channel: Channel, token: str, until: int, *, is_critical: bool) -> Claim:
    """The claim to rows that one message tells, in the order of their sequence."""
    before = {outcome_so_far(row) for row in message}
    return Claim(
        tenant=channel.tenant,
        channel=channel,
        kind=Kind(message[0].kind),
        parts=tuple([_part(row) for row in message]),
        message_id=bundle_id([row.id for row in message], channel.id) if len(message) > 1 else "",
        is_digest=is_digest(message[0].group_key),
        is_critical=is_critical,
        broken_before=OutcomeKind.CONFIGURATION_BROKEN in before,
        is_minimal=OutcomeKind.TOO_LARGE in before,
        lease_token=token,
        lease_until=until,
    )


def _part(row: Row) -> Part:
    return Part(row.id, row.payload, row.attempt_count + 1, row.alert_id, Kind(row.kind), row.stream_key)
