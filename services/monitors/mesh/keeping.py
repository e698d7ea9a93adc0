"""What is kept for a certain time only: how it's looked for what has passed it, in all services alike."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Table, bindparam, func, select
from sqlalchemy.orm import Session

from monitors.mesh.rows import read_value
from monitors.mesh.tenancy import crosses_tenants, of_tenant
from monitors.mesh.times import SECOND

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)

REST_SECONDS = 0.1
"""After each few rows others have the database, whose one writer may be a file's."""


async def keep(forget: Callable[[], Awaitable[None]], pause: int, problem: str) -> None:
    """Lets `forget` be done from time to time, until it's cancelled: at once, and then after `pause` nanoseconds at
    most, which differ so that replicas that were started together don't all do it at the same time. If it fails the
    log says that as `problem`, and it's tried again when its time has come."""
    while True:
        try:
            await forget()
        except Exception:
            log.warning(problem, exc_info=True)
        await asyncio.sleep(pause / SECOND * random.uniform(0.5, 1))


@crosses_tenants("what is old is forgotten of all tenants, tenant by tenant")
def tenants_in(session: Session, table: Table) -> list[str]:
    """The tenants that have rows in a table whose key begins with the tenant: a step through it for each, however many
    rows they have."""
    column = table.c.tenant_id
    following = select(func.min(column)).where(column > bindparam("last"))
    found = [""]
    while (tenant := read_value(session, following, {"last": found[-1]})) is not None:
        found.append(tenant)
    return found[1:]


def within(
    tenant: str, work: Callable[Concatenate[Session, str, P], T], *args: P.args, **kwargs: P.kwargs
) -> Callable[[Session], T]:
    """A transaction of one tenant, of whom the work is told as well."""

    def bound(session: Session) -> T:
        with of_tenant(session, tenant):
            return work(session, tenant, *args, **kwargs)

    return bound
