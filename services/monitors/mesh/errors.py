"""Errors that know their gRPC status and reason (see `error_reason.proto`).

The message alone is always complete: it names the field, the value seen, the accepted form and the fix. Nothing in it
comes from a library, so nothing internal leaks. This module knows no gRPC, so that a model may raise these errors.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# A status travels in a trailer of 8 kilobytes, once as a message and once more in its details.
LONGEST_MESSAGE = 1500


def trailer_length(text: str) -> int:
    """How many bytes a text takes in a trailer, where each byte that isn't ASCII takes three."""
    return sum(1 if character.isascii() else 3 * len(character.encode()) for character in text)


@dataclass(frozen=True)
class Violation:
    """What is wrong with one field of a request, and how to mend it."""

    field: str
    description: str


class MeshError(Exception):
    """An error that a caller is meant to see. `code` is a gRPC status name, `reason` an ErrorReason less its prefix."""

    code = "INTERNAL"
    reason = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)
        self.retry_after = retry_after

    def at(self, place: str) -> "MeshError":
        """The same of a part of a request, which `place` names: `changes[3]`."""
        placed = MeshError(
            f"{place}: {self.message}",
            metadata=self.metadata,
            violations=[Violation(f"{place}.{one.field}", one.description) for one in self.violations],
            retry_after=self.retry_after,
        )
        placed.code, placed.reason = self.code, self.reason
        return placed


class InvalidField(MeshError):
    """A field of the request is missing, malformed or out of bounds."""

    code, reason = "INVALID_ARGUMENT", "INVALID_FIELD"

    def __init__(self, field: str, description: str, **metadata: str) -> None:
        super().__init__(
            f"{field}: {description}",
            metadata={"field": field, **metadata},
            violations=[Violation(field, description)],
        )
        self.field = field


class InvalidFields(MeshError):
    """Several fields of the request are wrong; all of them are named at once."""

    code, reason = "INVALID_ARGUMENT", "INVALID_FIELD"

    @classmethod
    def of(cls, errors: Sequence[InvalidField]) -> MeshError:
        """One error for one or several, in their order. A single one stays what it is."""
        if len(errors) == 1:
            return errors[0]
        told: list[InvalidField] = []
        length = 0
        for error in errors:
            length += trailer_length(error.message)
            if told and length > LONGEST_MESSAGE:
                break
            told.append(error)
        more = f"; and {len(errors) - len(told)} more" if len(told) < len(errors) else ""
        reasons = {error.reason for error in errors}
        combined = cls(
            "; ".join(error.message for error in told) + more,
            metadata=errors[0].metadata,
            violations=[violation for error in told for violation in error.violations],
        )
        combined.reason = errors[0].reason if len(reasons) == 1 else cls.reason
        return combined


class InvalidCondition(InvalidField):
    """A condition can't be read."""

    reason = "INVALID_CONDITION"


class UnknownMonitor(InvalidField):
    """No such monitor has ever reported."""

    reason = "UNKNOWN_MONITOR"


class UnknownField(InvalidField):
    """The monitor has no such field, or several."""

    reason = "UNKNOWN_FIELD"


class UnknownChannel(InvalidField):
    """There is no channel of that name."""

    reason = "UNKNOWN_CHANNEL"


class InvalidPageToken(InvalidField):
    """The page token is damaged or belongs to another query."""

    reason = "INVALID_PAGE_TOKEN"

    def __init__(self) -> None:
        super().__init__(
            "page_token",
            "not a token of this query; send next_page_token as it came, with everything else unchanged, "
            "or leave it out to start again",
        )


class RequestIdReused(InvalidField):
    """The request_id was used for another request."""

    reason = "REQUEST_ID_REUSED"

    def __init__(self, request_id: str) -> None:
        super().__init__(
            "request_id",
            f"{request_id!r} was used for a different request; nothing was changed. Make a new id for a new request",
            request_id=request_id,
        )


class NotFound(MeshError):
    """There is nothing of that id, for this caller."""

    code, reason = "NOT_FOUND", "NOT_FOUND"

    def __init__(self, kind: str, identifier: str, fix: str = "") -> None:
        text = f"there is no {kind} {identifier!r}"
        super().__init__(f"{text}; {fix}" if fix else text, metadata={"kind": kind, "id": identifier})


class AlreadyExists(MeshError):
    """The name is taken."""

    code, reason = "ALREADY_EXISTS", "ALREADY_EXISTS"

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(
            f"there is a {kind} {name!r} already; choose another name, or update or delete that one",
            metadata={"kind": kind, "name": name},
        )


class EtagMismatch(MeshError):
    """Somebody changed it since it was read."""

    code, reason = "ABORTED", "ETAG_MISMATCH"

    def __init__(self, kind: str, identifier: str, sent: str, current: str) -> None:
        super().__init__(
            f"etag: {kind} {identifier!r} has changed since it was read (you sent {sent!r}, it is {current!r}); "
            "nothing was changed. Read it again and repeat the change",
            metadata={"etag": current},
        )


class Unauthenticated(MeshError):
    """No credential, or none that is valid."""

    code, reason = "UNAUTHENTICATED", "UNAUTHENTICATED"


class StatementOver(MeshError):
    """The statement that a bridge began a stream with is over. Only the stream is: who it's for is asked anew."""

    code, reason = "ABORTED", "STATEMENT_OVER"

    def __init__(self) -> None:
        super().__init__("the bridge's statement that began this stream is over; begin another with a fresh one")


class TooManyFailures(MeshError):
    """A credential isn't valid, and too many that weren't have come from its address."""

    code, reason = "RESOURCE_EXHAUSTED", "TOO_MANY_FAILURES"

    def __init__(self, why: str, retry_after: float) -> None:
        super().__init__(
            f"{why}. Too many credentials that aren't valid have come from this address; try again in "
            f"{retry_after:g} s, with one that is",
            retry_after=retry_after,
        )


class MissingScope(MeshError):
    """The caller lacks a scope."""

    code, reason = "PERMISSION_DENIED", "MISSING_SCOPE"

    def __init__(self, scope: str) -> None:
        super().__init__(
            f"this credential lacks the scope {scope!r}; use a key that has it, or make one: `monitors keys create`",
            metadata={"scope": scope},
        )


class ForeignCertificate(MeshError):
    """The mesh's own token comes with a certificate that isn't one of its services'."""

    code, reason = "PERMISSION_DENIED", "MISSING_SCOPE"

    def __init__(self) -> None:
        super().__init__(
            "the token is the mesh's own, but the certificate of the caller isn't that of one of its services; have it "
            "made out to one of the names in MONITORS_TLS_SERVICES, or use an API key",
            metadata={"scope": "a service of the mesh"},
        )


class UnknownTenant(MeshError):
    """A bridge names a tenant that the mesh doesn't have."""

    code, reason = "PERMISSION_DENIED", "UNKNOWN_TENANT"

    def __init__(self, tenant: str) -> None:
        super().__init__(
            f"the mesh has no tenant {tenant!r}; its operator adds it to MONITORS_TENANTS of `monitors serve rules` "
            "and starts that again",
            metadata={"tenant": tenant},
        )


class QuotaExceeded(MeshError):
    """A quota of the tenant is used up."""

    code, reason = "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED"


class ServiceUnavailable(MeshError):
    """Another service of the mesh is away, or can't serve as it says itself in `said`; nothing was changed."""

    code, reason = "UNAVAILABLE", "SERVICE_UNAVAILABLE"

    def __init__(self, service: str, said: str = "") -> None:
        super().__init__(
            f"the {service} service says: {said}"
            if said
            else f"the {service} service can't be reached; nothing was changed. Try again in a few seconds",
            metadata={"service": service},
            retry_after=2.0,
        )


class NotTaken(MeshError):
    """An evaluator takes no points now. What was sent may be sent again, also if some of it was written before."""

    code, reason = "UNAVAILABLE", "SERVICE_UNAVAILABLE"

    def __init__(self, why: str) -> None:
        super().__init__(
            f"this evaluator takes no points now: {why}. Send the same again in a few seconds, or to another evaluator",
            metadata={"service": "evaluator"},
            retry_after=2.0,
        )


class IdentityUnavailable(MeshError):
    """Whose a credential is can't be found out now: `what` is away. Nobody is let in on a guess."""

    code, reason = "UNAVAILABLE", "SERVICE_UNAVAILABLE"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} can't be asked now, so nobody can be let in; nothing was changed. Try again in a few seconds",
            metadata={"service": "identity"},
            retry_after=2.0,
        )


class StorageUnavailable(MeshError):
    """The disk is full or the database can't be written; nothing was changed."""

    code, reason = "UNAVAILABLE", "STORAGE_UNAVAILABLE"

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}; nothing was changed", retry_after=5.0)


class CommitUnknown(MeshError):
    """The connection to the database was lost at the very moment of the commit."""

    code, reason = "UNAVAILABLE", "STORAGE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__(
            "the connection to the database was lost while the change was being saved, and whether it was saved isn't "
            "known; see what is there, or repeat the same request with the same request_id",
            retry_after=5.0,
        )


class CallTooLong(MeshError):
    """A call went on for longer than any may."""

    code, reason = "DEADLINE_EXCEEDED", "CALL_TOO_LONG"

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"the call took longer than the {seconds:g} s that any may; ask for less at once, or try again when the "
            "mesh is less busy",
            metadata={"seconds": f"{seconds:g}"},
        )


class LeaseLost(MeshError):
    """The shard's lease has passed to another evaluator."""

    code, reason = "FAILED_PRECONDITION", "LEASE_LOST"

    def __init__(self, shard: int, epoch: int) -> None:
        super().__init__(
            f"lease: shard {shard} is no longer held under epoch {epoch}; lease it again and load its state",
            metadata={"shard": str(shard), "epoch": str(epoch)},
        )


class RevisionTooOld(MeshError):
    """The revision is too old to go on from."""

    code, reason = "OUT_OF_RANGE", "REVISION_TOO_OLD"

    def __init__(self, revision: int) -> None:
        super().__init__(
            f"start_revision: {revision} is too old to go on from; start again with 0",
            metadata={"revision": str(revision)},
        )


class WrongState(MeshError):
    """It can't be done in the present state."""

    code, reason = "FAILED_PRECONDITION", "WRONG_STATE"


class NotBuilt(MeshError):
    """This part isn't built yet."""

    code, reason = "UNIMPLEMENTED", "NOT_BUILT"

    def __init__(self, feature: str, instead: str) -> None:
        super().__init__(f"{feature} isn't available yet; {instead}", metadata={"feature": feature})
