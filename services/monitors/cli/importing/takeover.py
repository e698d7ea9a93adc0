"""Makes what isn't there yet of each tenant's, with a key of that tenant's for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from monitors.cli.client import Mesh, Target, new_request_id
from monitors.cli.failures import Failure
from monitors.cli.importing.alert_takeover import AlertResult, take_in
from monitors.cli.importing.old_alerts import OldAlert
from monitors.cli.importing.old_rules import NAMESPACE, OldRule, Unusable, rule_of, shown
from monitors.cli.importing.results import Outcome, Result
from monitors.cli.importing.source import Source
from monitors.cli.output import tell
from monitors.cli.rule_files.calls import rules_of
from monitors.mesh.times import MINUTE, now_nanos, to_timestamp
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule

MOST_AT_ONCE = 200
KEY_LIFE = 15 * MINUTE
# To take in alerts needs `admin`.
SCOPES = ("rules:read", "rules:write", "admin")

RuleResult = Result[OldRule]


def take_over(mesh: Mesh, source: Source, *, dry_run: bool) -> tuple[list[RuleResult], list[AlertResult]]:
    """Takes over the rules and then their alerts, tenant by tenant; one that can't be doesn't keep the others back. A
    dry run tells what would become of them."""
    rules: list[RuleResult] = []
    alerts: list[AlertResult] = []
    of_rules: dict[str, list[OldAlert]] = {}
    for alert in source.alerts:
        of_rules.setdefault(alert.rule_id, []).append(alert)
    for user_id, group in groupby(source.rules, key=lambda each: each.user_id):
        olds = list(group)
        theirs = [alert for old in olds for alert in of_rules.pop(old.id, ())]
        reason = "" if user_id else "user_id is empty, so it's nobody's"
        done: list[RuleResult] = []
        told: list[AlertResult] = []
        try:
            if user_id:
                with _as_tenant(mesh, olds[0].tenant) as own:
                    done = _of_tenant(own, olds, dry_run=dry_run)
                    told = list(take_in(own, theirs, {each.old.id: each for each in done}, dry_run=dry_run))
        except Failure as failure:
            reason = str(failure)
        rules += done or [Result(old, Outcome.LEFT, reason=reason) for old in olds]
        alerts += told or [Result(old, Outcome.LEFT, reason=f"its rule {old.rule_id} was left") for old in theirs]
    orphans = (alert for group in of_rules.values() for alert in group)
    alerts += (
        Result(old, Outcome.LEFT, reason=f"there is no rule {shown(old.rule_id)} in alert_rules") for old in orphans
    )
    return rules, sorted(alerts, key=lambda each: (each.old.rule_id, each.old.id))


@contextmanager
def _as_tenant(mesh: Mesh, tenant: str) -> Iterator[Mesh]:
    """The mesh, called with a key of the tenant's, which ends with the block."""
    request = pb.CreateKeyRequest(title="monitors import", scopes=SCOPES, tenant_id=tenant)
    request.expire_time.CopyFrom(to_timestamp(now_nanos() + KEY_LIFE))
    made = mesh.call(mesh.rules.CreateKey, request)
    try:
        yield Mesh(mesh.channel, Target(mesh.address, made.key))
    finally:
        ending = pb.RevokeKeyRequest(key_id=made.key_id, tenant_id=tenant, request_id=new_request_id())
        try:
            mesh.call(mesh.rules.RevokeKey, ending)
        except Failure as failure:
            tell(f"warning: {made.key_id} of {tenant} couldn't be ended and ends by itself in 15 minutes: {failure}")


def _of_tenant(mesh: Mesh, olds: Sequence[OldRule], *, dry_run: bool) -> list[RuleResult]:
    there = {rule.key: rule.id for rule in rules_of(mesh, NAMESPACE)}
    results = [Result(old, Outcome.THERE, there[old.key]) for old in olds if old.key in there]
    new: list[tuple[OldRule, Rule]] = []
    for old in olds:
        if old.key not in there:
            try:
                new.append((old, rule_of(old)))
            except Unusable as unusable:
                results.append(Result(old, Outcome.LEFT, reason=str(unusable)))
    for start in range(0, len(new), MOST_AT_ONCE):
        results += _made(mesh, new[start : start + MOST_AT_ONCE], dry_run=dry_run)
    return sorted(results, key=lambda each: each.old.id)


def _made(mesh: Mesh, new: Sequence[tuple[OldRule, Rule]], *, dry_run: bool) -> list[RuleResult]:
    """Makes those rules that the mesh takes, all in one change."""
    try:
        told = _change(mesh, [rule for _, rule in new], validate_only=True)
    except Failure as failure:
        return [Result(old, Outcome.LEFT, reason=str(failure)) for old, _ in new]
    results, good = [], []
    for (old, rule), answer in zip(new, told, strict=True):
        if answer.problems:
            reason = "; ".join(each.description for each in answer.problems)
            results.append(Result(old, Outcome.LEFT, reason=reason))
        else:
            good.append((old, rule, (*old.warnings, *answer.warnings)))
    ids = [""] * len(good)
    if good and not dry_run:
        try:
            ids = [each.rule.id for each in _change(mesh, [rule for _, rule, _ in good], validate_only=False)]
        except Failure as failure:
            return results + [Result(old, Outcome.LEFT, reason=str(failure)) for old, _, _ in good]
    return results + [
        Result(old, Outcome.TAKEN_OVER, rule_id, warnings=warnings)
        for (old, _, warnings), rule_id in zip(good, ids, strict=True)
    ]


def _change(mesh: Mesh, rules: Sequence[Rule], *, validate_only: bool) -> Sequence[pb.RuleChangeResult]:
    changes = [pb.RuleChange(create=pb.CreateRuleRequest(rule=rule)) for rule in rules]
    request = pb.BatchChangeRulesRequest(
        changes=changes, validate_only=validate_only, request_id="" if validate_only else new_request_id()
    )
    return mesh.call(mesh.rules.BatchChangeRules, request).results
