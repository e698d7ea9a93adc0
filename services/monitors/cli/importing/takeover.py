"""Makes the rules of each tenant that aren't there yet, with a key of that tenant's for a while."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from monitors.cli.client import Mesh, Target, new_request_id
from monitors.cli.failures import Failure
from monitors.cli.importing.source import NAMESPACE, OldRule, Unusable, rule_of
from monitors.cli.rule_files.calls import rules_of
from monitors.mesh.times import MINUTE, now_nanos, to_timestamp
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_pb2 import Rule

MOST_AT_ONCE = 200
KEY_LIFE = 15 * MINUTE
SCOPES = ("rules:read", "rules:write")


class Outcome(StrEnum):
    """What became of a row."""

    TAKEN_OVER = "taken over"
    THERE = "already there"
    LEFT = "left"


@dataclass(frozen=True)
class Result:
    """What became of a row, and why."""

    old: OldRule
    outcome: Outcome
    rule_id: str = ""
    reason: str = ""
    warnings: tuple[str, ...] = ()


def take_over(mesh: Mesh, rules: Iterable[OldRule], *, dry_run: bool) -> Iterator[Result]:
    """Takes over the rules, tenant by tenant; one that can't be doesn't keep the others back. A dry run tells what
    would become of them."""
    for user_id, group in groupby(rules, key=lambda each: each.user_id):
        olds = list(group)
        if not user_id:
            yield from (Result(old, Outcome.LEFT, reason="user_id is empty, so it's nobody's") for old in olds)
            continue
        try:
            with _as_tenant(mesh, olds[0].tenant) as own:
                yield from _of_tenant(own, olds, dry_run=dry_run)
        except Failure as failure:
            yield from (Result(old, Outcome.LEFT, reason=str(failure)) for old in olds)


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
        mesh.call(mesh.rules.RevokeKey, ending)


def _of_tenant(mesh: Mesh, olds: Sequence[OldRule], *, dry_run: bool) -> list[Result]:
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


def _made(mesh: Mesh, new: Sequence[tuple[OldRule, Rule]], *, dry_run: bool) -> list[Result]:
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
