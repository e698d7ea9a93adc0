"""Takes in the past alerts of a tenant's rules that were taken over."""

from collections.abc import Iterator, Mapping, Sequence

from monitors.cli.client import Mesh, new_request_id
from monitors.cli.failures import Failure
from monitors.cli.importing.old_alerts import OldAlert, alert_of
from monitors.cli.importing.old_rules import OldRule, Unusable
from monitors.cli.importing.results import Outcome, Result
from monitors.mesh.times import now_nanos
from monitors.v1 import rule_service_pb2 as pb

MOST_AT_ONCE, MOST_BYTES = 500, 1024 * 1024
"""What goes into one request."""
STILL_OPEN = "still open there; it fires anew here if its condition holds"

AlertResult = Result[OldAlert]
Read = tuple[OldAlert, pb.PastAlert, tuple[str, ...]]


def take_in(
    mesh: Mesh, alerts: Sequence[OldAlert], rules: Mapping[str, Result[OldRule]], *, dry_run: bool
) -> Iterator[AlertResult]:
    """Takes in the alerts of one tenant whose rules `rules` has, by their ids there. A dry run tells what would become
    of them."""
    new: list[Read] = []
    for old in alerts:
        rule = rules[old.rule_id]
        if not old.is_over:
            yield Result(old, Outcome.STILL_OPEN, reason=STILL_OPEN)
        elif rule.outcome is Outcome.LEFT:
            yield Result(old, Outcome.LEFT, reason=f"its rule {old.rule_id} was left")
        else:
            try:
                alert, warnings = alert_of(old, rule.old, rule.new_id, now_nanos())
            except Unusable as unusable:
                yield Result(old, Outcome.LEFT, reason=str(unusable))
                continue
            if rule.new_id:
                new.append((old, alert, tuple(warnings)))
            else:
                # Its rule would be taken over only now: the mesh can't be asked about it yet.
                yield Result(old, Outcome.TAKEN_OVER, warnings=tuple(warnings))
    for part in _parts_of(new):
        try:
            yield from _sent(mesh, part, dry_run=dry_run)
        except Failure as failure:
            yield from (Result(old, Outcome.LEFT, reason=str(failure)) for old, _, _ in part)


def _sent(mesh: Mesh, part: Sequence[Read], *, dry_run: bool) -> list[AlertResult]:
    """Takes in those that the mesh takes. Raises Failure, after which none was."""
    results, good = [], []
    for each, told in zip(part, _call(mesh, part, validate_only=True), strict=True):
        old, _, warnings = each
        if told.problems:
            reason = "; ".join(problem.description for problem in told.problems)
            results.append(Result(old, Outcome.LEFT, reason=reason))
        elif told.was_there:
            results.append(Result(old, Outcome.THERE, told.alert_id))
        elif dry_run:
            results.append(Result(old, Outcome.TAKEN_OVER, warnings=warnings))
        else:
            good.append(each)
    if good:
        made = _call(mesh, good, validate_only=False)
        results += [
            Result(old, Outcome.TAKEN_OVER, told.alert_id, warnings=warnings)
            for (old, _, warnings), told in zip(good, made, strict=True)
        ]
    return results


def _call(mesh: Mesh, part: Sequence[Read], *, validate_only: bool) -> Sequence[pb.ImportedAlert]:
    request = pb.ImportAlertsRequest(
        alerts=[alert for _, alert, _ in part],
        validate_only=validate_only,
        request_id="" if validate_only else new_request_id(),
    )
    return mesh.call(mesh.rules.ImportAlerts, request).results


def _parts_of(new: Sequence[Read]) -> Iterator[list[Read]]:
    part: list[Read] = []
    size = 0
    for each in new:
        own = each[1].ByteSize()
        if part and (len(part) == MOST_AT_ONCE or size + own > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(each)
        size += own
    if part:
        yield part
