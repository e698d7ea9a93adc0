"""Words that options accept and documents print, for the contract's enumerations."""

from enum import StrEnum
from typing import Any, Protocol

from monitors.v1.alert_pb2 import DeliveryState as DeliveryStateProto
from monitors.v1.notification_pb2 import GroupBy as GroupByProto
from monitors.v1.rule_pb2 import MissingPolicy as MissingPolicyProto
from monitors.v1.rule_pb2 import Severity as SeverityProto


class Severity(StrEnum):
    """How bad an alert is."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def proto(self) -> "SeverityProto.ValueType":
        """The contract's value."""
        return SeverityProto.Value(f"SEVERITY_{self.name}")


class NoData(StrEnum):
    """What happens when none of a rule's series has data."""

    OK = "ok"
    ALERT = "alert"
    KEEP = "keep"

    @property
    def proto(self) -> "MissingPolicyProto.ValueType":
        """The contract's value."""
        return MissingPolicyProto.Value(f"MISSING_POLICY_{self.name}")


class Missing(StrEnum):
    """What happens when one series has no data while others have."""

    OK = "ok"
    ALERT = "alert"
    KEEP = "keep"
    RESOLVE = "resolve"

    @property
    def proto(self) -> "MissingPolicyProto.ValueType":
        """The contract's value."""
        return MissingPolicyProto.Value(f"MISSING_POLICY_{self.name}")


class GroupBy(StrEnum):
    """What alerts have in common that a channel tells together."""

    ALONE = "alone"
    RULE = "rule"
    MONITOR = "monitor"
    LABELS = "labels"

    @property
    def proto(self) -> "GroupByProto.ValueType":
        """The contract's value."""
        return GroupByProto.Value(f"GROUP_BY_{self.name}")


class RuleState(StrEnum):
    """Whether a rule has open alerts."""

    FIRING = "firing"
    IDLE = "idle"


class AlertState(StrEnum):
    """Whether an alert still fires."""

    FIRING = "firing"
    RESOLVED = "resolved"


class DeliveryState(StrEnum):
    """What became of a message."""

    PENDING = "pending"
    IN_FLIGHT = "in_flight"
    DELIVERED = "delivered"
    ACCEPTED = "accepted"
    DEAD = "dead"
    SUPPRESSED = "suppressed"
    SUPERSEDED = "superseded"

    @property
    def proto(self) -> "DeliveryStateProto.ValueType":
        """The contract's value."""
        return DeliveryStateProto.Value(f"DELIVERY_STATE_{self.name}")


class EnumType(Protocol):
    """An enumeration of the contract."""

    @property
    def DESCRIPTOR(self) -> Any:
        """Its names and numbers."""


def word_of(enumeration: EnumType, value: int) -> str:
    """The short name, `SEVERITY_HIGH` → `high`; a value of a newer contract as its number."""
    descriptor = enumeration.DESCRIPTOR
    known = descriptor.values_by_number.get(value)
    if known is None:
        return str(value)
    prefix = descriptor.values[0].name.removesuffix("UNSPECIFIED")
    return str(known.name).removeprefix(prefix).lower()
