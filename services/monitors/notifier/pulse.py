"""The pulse: lets channels be told that the mesh is alive, for as long as all of it works."""

import logging
from functools import partial
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.database import Database, storage_error
from monitors.mesh.times import SECOND
from monitors.notifier.clock import Clock
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.intake import Intake
from monitors.notifier.store.heartbeats import MOST, Heartbeats
from monitors.notifier.translate import heartbeat_to_arrival
from monitors.v1.rule_service_pb2 import CheckEvaluationRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

LOOK = 5 * SECOND
"""How often it's looked whether a channel wants heartbeats, and while something is wrong whether that's over."""
TIMEOUT_SECONDS = 5.0


class Pulse:
    """Makes heartbeats. Nothing follows from a failure but their silence, which is what they're for."""

    def __init__(
        self,
        database: Database,
        heartbeats: Heartbeats,
        rules: "RuleServiceAsyncStub",
        intake: Intake,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self._database = database
        self._heartbeats = heartbeats
        self._rules = rules
        self._intake = intake
        self._dispatcher = dispatcher
        self._clock = clock
        self.problem = ""
        """Why no heartbeats are sent; empty if nothing is wrong, or if none are wanted."""

    async def run(self) -> None:
        """Goes on until it's cancelled."""
        while True:
            now = self._clock.now()
            try:
                due = await self._beat(now)
            except Exception as error:
                if storage_error(error) is None:
                    log.exception("heartbeats can't be sent; trying again")
                due = None
            await self._clock.until(max(now + SECOND, min(now + LOOK, due or now + LOOK)))

    async def _beat(self, now: int) -> int | None:
        """Lets those be told that are due. Returns when the next one is."""
        due = await self._database.read(self._heartbeats.first_due)
        if due is None or due > now:
            self._note("" if due is None else self.problem)
            return due
        self._note(await self._find_problem())
        if self.problem:
            return None
        compose = partial(heartbeat_to_arrival, now)
        while await self._database.write(lambda session: self._heartbeats.take_due(session, now, compose)) == MOST:
            pass
        self._dispatcher.look()
        return await self._database.read(self._heartbeats.first_due)

    async def _find_problem(self) -> str:
        if self._intake.problem:
            return self._intake.problem
        try:
            answer = await self._rules.CheckEvaluation(CheckEvaluationRequest(), timeout=TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            return f"the rules service doesn't say whether rules are evaluated ({error.code().name})"
        return answer.problem

    def _note(self, problem: str) -> None:
        if problem and not self.problem:
            log.warning("no heartbeats are sent: %s", problem)
        elif self.problem and not problem:
            log.warning("heartbeats are sent again")
        self.problem = problem
