"""Changes of rules, each within the transaction of its request."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

from monitors.mesh.database import Session
from monitors.mesh.errors import (
    AlreadyExists,
    EtagMismatch,
    InvalidField,
    InvalidFields,
    MeshError,
    NotFound,
    QuotaExceeded,
)
from monitors.mesh.ids import id_series
from monitors.mesh.quotas import LARGEST
from monitors.rules.model.drafting import Draft, Proposal, Surroundings, propose_change, settle
from monitors.rules.model.episodes import Ledger
from monitors.rules.model.levels import severities_of
from monitors.rules.model.quotas import check_interval, check_room
from monitors.rules.model.rule import Rule, changed, warnings_about
from monitors.rules.service.base import Caller
from monitors.rules.store import counters
from monitors.rules.store.alerts import open_alerts
from monitors.rules.store.decisions import save
from monitors.rules.store.monitors import surroundings, surroundings_of
from monitors.rules.store.rules import (
    StoredRule,
    count_open_alerts,
    count_rules,
    delete_rule,
    find_rule,
    holders_of,
    insert_rules,
    replace_rule,
)
from monitors.rules.store.transitions import load_open, load_over
from monitors.rules.translate.alerts import encode_notification
from monitors.rules.translate.rules import facts_of, rule_from_stored, rule_to_proto, stored_to_proto
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb


def existing(session: Session, tenant: str, rule_id: str, *, lock: bool = False) -> StoredRule:
    """The tenant's rule; with `lock` nobody else changes it meanwhile. Raises NotFound."""
    stored = find_rule(session, tenant, rule_id, lock=lock)
    if stored is None:
        raise NotFound("rule", rule_id[:64], "ListRules shows those that there are")
    return stored


def create(
    session: Session, who: Caller, proposal: Proposal, around: Surroundings | None = None
) -> pb.CreateRuleResponse:
    """Makes a rule. Raises InvalidFields, AlreadyExists and QuotaExceeded. `around` is what it can refer to, if that's
    known."""
    around = around or surroundings(session, who.tenant, proposal.rule.monitor_id)
    rule = settle(proposal, around)
    check_interval(rule, who.quotas)
    _check_keys(session, who, [rule.key])
    ((made, message),) = _insert(session, who, [rule])
    return pb.CreateRuleResponse(rule=message, warnings=warnings_about(made, who.now, around.channels.values()))


def batch_create(session: Session, who: Caller, proposals: Sequence[Proposal]) -> pb.BatchCreateRulesResponse:
    """Makes rules, all or none. Raises InvalidFields, which names each wrong field as `rules[3].title`, AlreadyExists
    and QuotaExceeded."""
    known = surroundings_of(session, who.tenant, [each.rule.monitor_id for each in proposals])
    settled: list[Rule] = []
    errors: list[InvalidField] = []
    for number, proposal in enumerate(proposals):
        try:
            settled.append(settle(proposal, known[proposal.rule.monitor_id]))
        except MeshError as error:
            errors += [
                InvalidField(f"rules[{number}]{each.field.removeprefix('rule')}", each.description)
                for each in error.violations
            ]
    if errors:
        raise InvalidFields.of(errors)
    for number, rule in enumerate(settled):
        try:
            check_interval(rule, who.quotas)
        except QuotaExceeded as error:
            raise error.at(f"rules[{number}]") from None
    _check_keys(session, who, [rule.key for rule in settled])
    made = _insert(session, who, settled)
    response = pb.BatchCreateRulesResponse(rules=[message for _, message in made])
    for number, (rule, _) in enumerate(made):
        warnings = warnings_about(rule, who.now, known[rule.monitor_id].channels.values())
        response.warnings.extend(f"rules[{number}]: {warning}" for warning in warnings)
    return response


def _check_keys(session: Session, who: Caller, keys: Iterable[str], own_id: str = "") -> None:
    """Raises AlreadyExists if a rule other than `own_id`, or two of them, would have one of the keys."""
    given = [key for key in keys if key]
    holders = holders_of(session, who.tenant, given)
    twice = (key for key, count in Counter(given).items() if count > 1)
    for key in [*(key for key, rule_id in holders.items() if rule_id != own_id), *twice]:
        raise AlreadyExists("rule with the key", key)


def _insert(session: Session, who: Caller, settled: Sequence[Rule]) -> list[tuple[Rule, rule_pb2.Rule]]:
    """The rules as they were made, each with its message."""
    revision = counters.take(session, counters.REVISION, len(settled))
    if who.quotas.rules < LARGEST:
        # Counted only now: whoever makes rules has taken the counter first, so nobody else makes any until we commit.
        check_room(count_rules(session, who.tenant), len(settled), who.quotas)
    ids = id_series("rule")
    rules = [
        changed(
            rule,
            {
                "id": next(ids),
                # Of rules that are made together the later is the newer.
                "create_time": who.now + number,
                "update_time": who.now + number,
                "creator": who.user,
                "updater": who.user,
                "revision": revision + number,
            },
        )
        for number, rule in enumerate(settled)
    ]
    made = [(rule, rule_to_proto(rule)) for rule in rules]
    insert_rules(session, who.tenant, [(rule, message.SerializeToString()) for rule, message in made])
    for rule, message in made:
        who.changed("rule", rule.id, None, message)
    return made


def update(
    session: Session,
    who: Caller,
    rule_id: str,
    etag: str,
    draft: Draft,
    mask: Collection[str] | None,
    look_around: Callable[[str], Surroundings] | None = None,
) -> pb.UpdateRuleResponse:
    """Changes a rule and what follows for its open alerts. `look_around` finds what a rule on a monitor can refer to,
    if somebody remembers that."""
    stored = existing(session, who.tenant, rule_id, lock=True)
    current = rule_from_stored(stored)
    _check_etag(current, etag)
    proposal = propose_change(current, draft, mask)
    monitor_id = proposal.rule.monitor_id
    around = look_around(monitor_id) if look_around else surroundings(session, who.tenant, monitor_id)
    rule = settle(proposal, around, current)
    check_interval(rule, who.quotas, current)
    if rule.key != current.key:
        _check_keys(session, who, [rule.key], rule_id)
    previous = stored_to_proto(stored, count_open_alerts(session, who.tenant, [rule_id]).get(rule_id, 0))
    if rule != current:
        revision = counters.take(session, counters.REVISION)
        rule = changed(rule, {"revision": revision, "update_time": who.now, "updater": who.user})
        replace_rule(session, who.tenant, rule, rule_to_proto(rule).SerializeToString())
        who.changed("rule", rule.id, stored_to_proto(stored, 0), rule_to_proto(rule))
        if current.enabled and not rule.enabled:
            close_alerts(session, who, rule_id, "paused")
        elif (rule.snooze_until, rule.repeat_interval) != (current.snooze_until, current.repeat_interval):
            _follow_change(session, who, rule_id, is_snooze=rule.snooze_until != current.snooze_until)
        if rule.enabled and severities_of(current) - severities_of(rule) and (rule.levels or current.levels):
            _regrade(session, who, rule_id)
    message = rule_to_proto(rule)
    message.open_alert_count = count_open_alerts(session, who.tenant, [rule_id]).get(rule_id, 0)
    warnings = warnings_about(rule, who.now, around.channels.values())
    return pb.UpdateRuleResponse(rule=message, previous=previous, warnings=warnings)


def delete(session: Session, who: Caller, rule_id: str, etag: str) -> pb.DeleteRuleResponse:
    """Deletes a rule and closes its open alerts."""
    stored = existing(session, who.tenant, rule_id, lock=True)
    _check_etag(rule_from_stored(stored), etag)
    # A revision is taken before the numbers of events, here as everywhere: so nobody waits for one who waits for them.
    delete_rule(session, who.tenant, rule_id, who.now)
    count = close_alerts(session, who, rule_id, "deleted")
    who.changed("rule", rule_id, stored_to_proto(stored, 0))
    return pb.DeleteRuleResponse(rule=stored_to_proto(stored, 0), resolved_alert_count=count)


def _check_etag(rule: Rule, etag: str) -> None:
    if etag and etag != rule.etag:
        raise EtagMismatch("rule", rule.id, etag[:64], rule.etag)


def close_alerts(session: Session, who: Caller, rule_id: str, reason: str) -> int:
    """Resolves the open alerts of a rule and returns how many there were."""
    firing = open_alerts(session, who.tenant, rule_id, lock=True)
    known = load_open(session, {who.tenant: [alert.instance_key for alert in firing]})
    ledger = Ledger(known, who.now, who.traceparent)
    for alert in firing:
        ledger.resolve(alert, reason, who.user)
    save(session, ledger, encode_notification)
    return len(firing)


def _regrade(session: Session, who: Caller, rule_id: str) -> None:
    """Lets open alerts at a level that the rule has no more go on at the rule's own severity."""
    firing = open_alerts(session, who.tenant, rule_id, lock=True)
    ledger = Ledger(
        load_open(session, {who.tenant: [alert.instance_key for alert in firing]}), who.now, who.traceparent
    )
    facts = facts_of(existing(session, who.tenant, rule_id))
    for alert in firing:
        ledger.regrade(alert, facts, who.user)
    save(session, ledger, encode_notification)


def _follow_change(session: Session, who: Caller, rule_id: str, *, is_snooze: bool) -> None:
    """Lets open alerts follow a change of when they're told: the rule's snooze, or its repeat interval."""
    firing = open_alerts(session, who.tenant, rule_id, lock=True)
    instances = {who.tenant: [alert.instance_key for alert in firing]}
    known = load_open(session, instances)
    load_over(session, known, instances)
    ledger = Ledger(known, who.now, who.traceparent)
    facts = facts_of(existing(session, who.tenant, rule_id))
    for alert in firing:
        if is_snooze:
            ledger.snooze(alert, facts, who.user)
        ledger.follow_repeats(alert, facts)
    save(session, ledger, encode_notification)
