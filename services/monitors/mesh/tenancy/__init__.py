"""Whose rows a transaction may touch. What isn't bound to that tenant is refused before it reaches the database.

A session is bound to the tenant of the caller whose RPC is being served. Each statement that is compiled on a guarded
engine is looked at once: every table in it must be held to one tenant, by `tenant_id = :tenant` or through another
table that is. When it is executed, what stands there must be the session's tenant. So a filter that was forgotten is
an error of the statement and not an answer with somebody else's rows.

A table of the mesh as a whole says so, with the reason, in `info={OF_THE_MESH: "…"}`. A statement that concerns all
tenants runs within `across_tenants`, which says why.
"""

from monitors.mesh.tenancy.guard import check_rows, guard
from monitors.mesh.tenancy.scope import (
    TenantSession,
    across_tenants,
    bound_to,
    crosses_tenants,
    may_touch_all,
    of_tenant,
)
from monitors.mesh.tenancy.verdict import OF_THE_MESH, TENANT_COLUMN, NotBound, Verdict

__all__ = [
    "OF_THE_MESH",
    "TENANT_COLUMN",
    "NotBound",
    "TenantSession",
    "Verdict",
    "across_tenants",
    "bound_to",
    "check_rows",
    "crosses_tenants",
    "guard",
    "may_touch_all",
    "of_tenant",
]
