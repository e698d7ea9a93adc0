"""How transitions are recorded: few of them in one transaction; many are decided before it, beside another's."""

from collections.abc import Sequence
from typing import NamedTuple

from monitors.mesh.database import Session
from monitors.mesh.tenancy import across_tenants
from monitors.rules.model.episodes import Known, Ledger, Result, Transition
from monitors.rules.model.recent import Instances
from monitors.rules.service.base import Core
from monitors.rules.store import counters, outbox, shards
from monitors.rules.store.decisions import AlreadyRecorded, Rows, Saved, prepare, save, save_prepared
from monitors.rules.store.drafts import Basis, basis_of, holds
from monitors.rules.store.transitions import load_known
from monitors.rules.translate.alerts import encode_notification
from monitors.rules.translate.rules import facts_of

WORTH_A_THREAD = 100
"""Transitions. Fewer are decided in less time than it takes to hand them to another thread."""


class Batch(NamedTuple):
    """What an evaluator decided under its leases, shards with their epochs. `receiver` may be sent what is to be told
    at `now`."""

    leases: set[tuple[int, int]]
    transitions: Sequence[Transition]
    now: int
    receiver: outbox.Receiver | None

    @property
    def instances(self) -> Instances:
        """All that it's about."""
        return frozenset([(each.instance.tenant, each.instance.key) for each in self.transitions])


class Recorded(NamedTuple):
    """What was decided and written."""

    ledger: Ledger
    results: list[Result]
    saved: Saved


class _Draft(NamedTuple):
    """What was decided, but isn't written yet."""

    basis: Basis
    ledger: Ledger
    results: list[Result]
    rows: Rows


async def record(core: Core, batch: Batch) -> Recorded:
    """Records a batch, once it's durable. Raises LeaseLost if a shard isn't under its epoch any more."""
    # Where others write to the database, what was read can only be relied on while it's locked.
    is_alone = not core.database.is_shared
    is_drafted = is_alone and len(batch.transitions) >= WORTH_A_THREAD
    draft = await core.database.read(lambda session: _drafted(core, session, batch)) if is_drafted else None
    instances = draft.basis.instances if draft else batch.instances

    def work(session: Session, *, look_up_all: bool = False) -> Recorded:
        shards.check_leases(session, batch.leases)
        with across_tenants(session, "an evaluator decides for all tenants, and its decisions come together"):
            if draft and not look_up_all and holds(session, draft.basis, core.recent):
                saved = save_prepared(session, draft.ledger, draft.rows, batch.receiver)
                return Recorded(draft.ledger, draft.results, saved)
            ledger, results = _decided(load_known(session, batch.transitions, facts_of, look_up_all=look_up_all), batch)
            return Recorded(ledger, results, save(session, ledger, encode_notification, batch.receiver))

    def note(recorded: Recorded) -> None:
        if is_alone:
            core.recent.note(recorded.saved.numbers, instances)

    try:
        return await core.database.write(work, repeatable=True, then=note)
    except AlreadyRecorded:
        return await core.database.write(lambda session: work(session, look_up_all=True), repeatable=True, then=note)


def _decided(known: Known, batch: Batch) -> tuple[Ledger, list[Result]]:
    ledger = Ledger(known, batch.now)
    return ledger, [ledger.apply(transition) for transition in batch.transitions]


def _drafted(core: Core, session: Session, batch: Batch) -> _Draft:
    with across_tenants(session, "an evaluator decides for all tenants, and its decisions come together"):
        # All that is read from here on is of the state that has these numbers.
        newest = revision, _ = counters.newest(session)
        known = load_known(session, batch.transitions, facts_of, look_up_all=False, facts=core.facts.at(revision))
    core.facts.note(revision, known.rules)
    basis = basis_of(newest, known, batch.instances)
    ledger, results = _decided(known, batch)
    return _Draft(basis, ledger, results, prepare(ledger, encode_notification))
