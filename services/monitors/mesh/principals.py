"""Principals as the services tell each other of them."""

from monitors.mesh.identity import Principal
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.v1 import mesh_pb2


def principal_to_proto(principal: Principal) -> mesh_pb2.Principal:
    """A principal as Authenticate answers it."""
    message = mesh_pb2.Principal(
        tenant_id=principal.tenant,
        user=principal.user,
        scopes=sorted(principal.scopes),
        is_service=principal.is_service,
        tier=principal.tier,
        account=principal.account,
    )
    if principal.expire_time is not None:
        message.expire_time.CopyFrom(to_timestamp(principal.expire_time))
    return message


def principal_from_proto(message: mesh_pb2.Principal) -> Principal:
    """The principal that Authenticate has answered."""
    return Principal(
        message.tenant_id,
        message.user,
        frozenset(message.scopes),
        is_service=message.is_service,
        tier=message.tier,
        expire_time=from_timestamp(message.expire_time) if message.HasField("expire_time") else None,
        account=message.account,
    )
