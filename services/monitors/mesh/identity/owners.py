"""Whose a monitor is, where several tenants' points come from one place: a port, and the existing system's table.

A monitor that nobody owns is simply not in the answer, whatever the reason: who asks learns nothing of others' ids.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.existing import ExistingDatabase, tenant_of_user

FRESH_SECONDS = 60.0
"""How long an answer is taken for true: a new monitor is seen after this at the latest, a taken one is lost."""
STALE_SECONDS = 3600.0
"""How long an answer is good for while the table can't be read. Owners change seldom."""
MOST_KNOWN = 500_000


class Owners(Protocol):
    """Whose monitors are."""

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        """The tenant of each monitor that has one, by the monitor's id. One monitor has one tenant at most.

        Raises IdentityUnavailable if that can't be known of some of them now.
        """


class NoOwners:
    """No monitor is mapped to a tenant."""

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        """Nobody's."""
        return {}


class MonitorsTable:
    """The `monitors` table of the existing system, with what it has said remembered. `clock` gives seconds that only
    go forward."""

    def __init__(self, database: ExistingDatabase, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, str]] = OrderedDict()

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        """The tenants of the users to whom the table says the monitors belong."""
        asked = list(dict.fromkeys(monitor_ids))
        due = [each for each in asked if self._age(each) > FRESH_SECONDS]
        known = {each: self._known[each][1] for each in asked if each in self._known}
        if due:
            known.update(await self._look_up(due))
        return {each: tenant for each, tenant in known.items() if tenant}

    def _age(self, monitor_id: str) -> float:
        known = self._known.get(monitor_id)
        return self._clock() - known[0] if known else float("inf")

    async def _look_up(self, monitor_ids: list[str]) -> Mapping[str, str]:
        now = self._clock()
        try:
            found = await self._database.monitor_users(monitor_ids)
        except IdentityUnavailable:
            if any(self._age(each) > STALE_SECONDS for each in monitor_ids):
                raise
            return {}
        # An id without an owner is remembered too: points of it may come all the time.
        answers = {each: tenant_of_user(found[each]) if each in found else "" for each in monitor_ids}
        for each, tenant in answers.items():
            self._known[each] = (now, tenant)
            self._known.move_to_end(each)
        while len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return answers
