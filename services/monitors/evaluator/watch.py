"""The rules as RuleService has them: a snapshot, then every change, across restarts of either side."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc

from monitors.evaluator.conditions import NotEvaluable
from monitors.evaluator.model.arrays import NEVER
from monitors.evaluator.model.spec import RuleKey, RuleSpec
from monitors.evaluator.model.state import OpenEpisode
from monitors.evaluator.translate import to_open_episode, to_spec
from monitors.mesh.channels import failure_of
from monitors.mesh.collector import collector_paused
from monitors.mesh.quantities import format_duration
from monitors.v1 import mesh_pb2
from monitors.v1 import rule_service_pb2 as pb

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

SILENCE_LIMIT = 30.0
"""RuleService speaks every ten seconds at least; after three times that the stream is opened anew."""
PAUSE = 0.5


@dataclass
class RuleChanges:
    """Rules to evaluate from now on, and rules that aren't to be evaluated any more."""

    put: list[RuleSpec] = field(default_factory=list)
    removed: list[RuleKey] = field(default_factory=list)
    unusable: list[RuleKey] = field(default_factory=list)
    """Rules that are there but ask for what can't be evaluated."""
    resolved: list[OpenEpisode] = field(default_factory=list)
    """Episodes that somebody has resolved by hand."""
    is_snapshot: bool = False
    """What isn't in `put` doesn't exist."""


class RuleWatch:
    """Follows WatchRules. `problems` holds, by rule, why it can't be evaluated, or not as it was meant.

    `history` is for how many nanoseconds points are kept.
    """

    def __init__(self, rules: "RuleServiceAsyncStub", history: int = NEVER) -> None:
        self._history = history
        self.problems: dict[RuleKey, str] = {}
        self.problem = ""
        self._rules = rules
        self._revision = 0
        self._snapshot: tuple[RuleChanges, dict[RuleKey, str]] | None = None
        """What has come of a snapshot, and what of it can't be evaluated."""

    async def changes(self) -> AsyncIterator[RuleChanges]:
        """A snapshot first, then changes; another snapshot if changes were missed."""
        while True:
            # A snapshot that was cut off is of no use: the stream starts over.
            self._snapshot = None if self._revision else (RuleChanges(is_snapshot=True), {})
            try:
                with ExitStack() as loading:
                    if self._snapshot:
                        loading.enter_context(collector_paused())
                    async for response in self._stream():
                        change = self._take(response)
                        if not self._snapshot:
                            loading.close()
                        if change:
                            yield change
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.OUT_OF_RANGE:
                    self._revision = 0
                    continue
                self.problem = f"RuleService can't be followed ({failure_of(error)}); rules may be out of date"
                log.warning("%s", self.problem)
            await asyncio.sleep(PAUSE)

    async def _stream(self) -> AsyncIterator[pb.WatchRulesResponse]:
        call = self._rules.WatchRules(pb.WatchRulesRequest(start_revision=self._revision), wait_for_ready=True)
        try:
            while True:
                async with asyncio.timeout(SILENCE_LIMIT):
                    response = await call.read()
                if not isinstance(response, pb.WatchRulesResponse):
                    return
                self.problem = ""
                yield response
        except TimeoutError:
            log.warning("RuleService has been silent for %.0f s; following it anew", SILENCE_LIMIT)
        finally:
            call.cancel()

    def _take(self, response: pb.WatchRulesResponse) -> RuleChanges | None:
        if self._snapshot is None:
            self._revision = max(self._revision, response.revision)
            if not (response.rules or response.deleted or response.resolved):
                return None
            change = RuleChanges(
                removed=[RuleKey(one.tenant_id, one.rule_id) for one in response.deleted],
                resolved=[to_open_episode(one) for one in response.resolved],
            )
            for key in change.removed:
                self.problems.pop(key, None)
            self._translate(response.rules, change, self.problems)
            return change
        change, problems = self._snapshot
        self._translate(response.rules, change, problems)
        if not response.snapshot_complete:
            return None
        self._snapshot, self._revision, self.problems = None, response.revision, problems
        return change

    def _translate(
        self, watched: Iterable[mesh_pb2.WatchedRule], change: RuleChanges, problems: dict[RuleKey, str]
    ) -> None:
        put = change.put.append
        for one in watched:
            if problems:
                problems.pop(RuleKey(one.tenant_id, one.rule.id), None)
            if one.rule.HasField("enabled") and not one.rule.enabled:
                change.removed.append(RuleKey(one.tenant_id, one.rule.id))
                continue
            try:
                spec = to_spec(one)
                put(spec)
                if spec.span > self._history:
                    problems[spec.key] = too_far_back(spec, self._history)
            except NotEvaluable as error:
                key = RuleKey(one.tenant_id, one.rule.id)
                problems[key] = str(error)
                change.unusable.append(key)
                log.warning("rule %s isn't evaluated: %s", key.rule_id, error)


def too_far_back(spec: RuleSpec, history: int) -> str:
    """What to say of a rule that looks back further than points are kept."""
    return (
        f"it looks back {format_duration(spec.span)}, and points are kept for {format_duration(history)} only "
        "(MONITORS_RETENTION_DAYS), so that it never sees all that it asks for; shorten its windows"
    )
