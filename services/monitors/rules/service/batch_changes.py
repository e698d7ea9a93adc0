"""Many changes of rules in one transaction, all or none; or what they would do, which is the same, undone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField, MeshError
from monitors.rules.model.drafting import Draft, Proposal, Surroundings, propose_new
from monitors.rules.service import rule_changes
from monitors.rules.service.base import Caller
from monitors.rules.store.monitors import surroundings
from monitors.rules.translate.rules import check_rule_id, draft_from_proto
from monitors.v1 import rule_service_pb2 as pb

LARGEST_BATCH = 1000
LARGEST_ANSWER = 4_000_000
"""Bytes; a gRPC message has 4 MiB at most. Each change is answered with the whole rule, before and after: a short
request may have a long answer, that nobody can receive, and that would be kept for repeats of the request."""


class Undone(Exception):
    """Ends a transaction whose only purpose was its answer."""

    def __init__(self, response: pb.BatchChangeRulesResponse) -> None:
        super().__init__("undone")
        self.response = response


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that can't even be read."""

    error: MeshError


@dataclass(frozen=True, slots=True)
class Update:
    """A change of a rule that is there."""

    request: pb.UpdateRuleRequest
    draft: Draft


Step = Proposal | Update | pb.DeleteRuleRequest | Refused


def read_changes(changes: Sequence[pb.RuleChange]) -> list[Step]:
    """What is to be done, with all conditions parsed. Raises InvalidField for a wrong number of changes."""
    if not 1 <= len(changes) <= LARGEST_BATCH:
        raise InvalidField("changes", f"there are {len(changes):,}; send 1 to {LARGEST_BATCH:,}")
    return [_read(change) for change in changes]


def _read(change: pb.RuleChange) -> Step:
    try:
        match change.WhichOneof("change"):
            case "create":
                return propose_new(draft_from_proto(change.create.rule))
            case "update":
                check_rule_id(change.update.rule.id)
                return Update(change.update, draft_from_proto(change.update.rule))
            case "delete":
                check_rule_id(change.delete.rule_id)
                return change.delete
        return Refused(InvalidField("change", "is empty; set one of create, update and delete"))
    except MeshError as error:
        return Refused(error)


def make(session: Session, who: Caller, steps: Sequence[Step], *, validate_only: bool) -> pb.BatchChangeRulesResponse:
    """Makes the changes in their order. Raises the first refusal with the number of its change, and with
    `validate_only` always Undone; InvalidField if there would be too much to answer."""
    look_around = cache(lambda monitor_id: surroundings(session, who.tenant, monitor_id))
    response, size = pb.BatchChangeRulesResponse(), 0
    for number, step in enumerate(steps):
        try:
            response.results.append(_make(session, who, step, look_around))
        except MeshError as error:
            if not validate_only:
                raise error.at(f"changes[{number}]") from None
            response.results.append(pb.RuleChangeResult(problems=problems_of(error)))
        size += response.results[-1].ByteSize()
        if size > LARGEST_ANSWER:
            raise InvalidField(
                "changes",
                f"with the first {number + 1:,} of {len(steps):,} the answer would have more than 4 MB; nothing was "
                "changed. Send fewer at once",
            )
    if validate_only:
        for result in response.results:
            if not (result.HasField("previous") or result.problems):
                # It was made for a moment only.
                result.rule.ClearField("id")
        raise Undone(response)
    return response


def _make(session: Session, who: Caller, step: Step, look_around: Callable[[str], Surroundings]) -> pb.RuleChangeResult:
    match step:
        case Refused(error=error):
            raise error
        case Proposal():
            made = rule_changes.create(session, who, step, look_around(step.rule.monitor_id))
            return pb.RuleChangeResult(rule=made.rule, warnings=made.warnings)
        case Update(request=request, draft=draft):
            mask = list(request.update_mask.paths) if request.HasField("update_mask") else None
            rule = request.rule
            changed = rule_changes.update(session, who, rule.id, rule.etag, draft, mask, look_around)
            return pb.RuleChangeResult(rule=changed.rule, previous=changed.previous, warnings=changed.warnings)
        case _:
            deleted = rule_changes.delete(session, who, step.rule_id, step.etag)
            return pb.RuleChangeResult(previous=deleted.rule, resolved_alert_count=deleted.resolved_alert_count)


def problems_of(error: MeshError) -> list[pb.ChangeProblem]:
    """A refusal as a part of an answer."""
    if not error.violations:
        return [pb.ChangeProblem(description=error.message)]
    return [pb.ChangeProblem(field=one.field, description=one.description) for one in error.violations]
