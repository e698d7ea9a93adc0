"""RuleService: API keys, and who a credential belongs to."""

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from monitors.mesh.config import TENANT
from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField, Unauthenticated, WrongState
from monitors.mesh.identity import ORDINARY_SCOPES, SCOPES, current_principal, current_tenant, seconds_to_trust
from monitors.mesh.principals import principal_to_proto
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import SECOND, from_timestamp, to_duration
from monitors.rules.model.catalogue import did_you_mean
from monitors.rules.model.pages import page_size, read_token, write_token
from monitors.rules.model.quantities import shown
from monitors.rules.model.quotas import check_room_for_key
from monitors.rules.model.rule import LONGEST_TIME, check_line
from monitors.rules.service.base import Caller, Part
from monitors.rules.store import keys as store
from monitors.rules.translate.keys import key_to_proto
from monitors.v1 import rule_service_pb2 as pb


class KeyCalls(Part):
    """Who may call."""

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Any) -> pb.CreateKeyResponse:
        """Makes an API key."""
        maker, now = current_principal(), self.core.database.now()
        tenant = _tenant_named(request.tenant_id)
        if maker.account and not self.core.knows_accounts:
            raise WrongState(
                "a key that you make ends with your account, and the mesh can't look at accounts, since "
                "IDENTITY_DATABASE_URL isn't set; ask whoever runs it to set that, or to make the key: "
                f"`MONITORS_SERVICE_TOKEN=… monitors keys create --tenant {tenant}`",
                metadata={"state": "accounts unknown"},
            )
        for error in check_line("title", request.title, 100, "say what the key is for"):
            raise error
        expire_time = None
        if request.HasField("expire_time"):
            expire_time = from_timestamp(request.expire_time)
            if not now < expire_time <= LONGEST_TIME:
                raise InvalidField("expire_time", "isn't ahead; send a time in the future, or none for no end")
        wanted = store.StoredKey(
            tenant,
            "",
            _checked_scopes(request.scopes),
            expire_time,
            title=request.title,
            creator=maker.user,
            create_time=now,
            account=maker.account,
        )

        def work(session: Session, who: Caller) -> pb.CreateKeyResponse:
            if store.ensure_tenant(session, tenant, now):
                who.changed("tenant", tenant, None, {"tier": ""})
            if not maker.is_service:
                check_room_for_key(store.count_live(session, tenant, now), who.quotas)
            key = self.core.api_keys.make(session, wanted)
            who.changed("key", key.key_id, None, key_to_proto(replace(wanted, id=key.key_id)))
            return pb.CreateKeyResponse(key=key.text, key_id=key.key_id)

        return await self.audited("CreateKey", work, tenant)

    async def ListKeys(self, request: pb.ListKeysRequest, context: Any) -> pb.ListKeysResponse:
        """A page of keys, without the keys themselves."""
        tenant, size = _tenant_named(request.tenant_id), page_size(request.page_size)
        query = json.dumps(["ListKeys", tenant])
        after = read_token(request.page_token, query)

        def look(session: Session) -> list[store.StoredKey]:
            with of_tenant(session, tenant):
                return store.list_keys(session, tenant, after, size + 1)

        found = await self.core.database.read(look)
        response = pb.ListKeysResponse(keys=map(key_to_proto, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            response.next_page_token = write_token(query, (last.create_time, last.id))
        return response

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: Any) -> pb.RevokeKeyResponse:
        """Ends a key."""
        tenant = _tenant_named(request.tenant_id)

        def work(session: Session, who: Caller) -> pb.RevokeKeyResponse:
            before, after = map(key_to_proto, store.revoke_key(session, tenant, request.key_id, who.now))
            who.changed("key", after.id, before, after)
            return pb.RevokeKeyResponse(key=after)

        return await self.change("RevokeKey", request, pb.RevokeKeyResponse, work, tenant)

    async def Authenticate(self, request: pb.AuthenticateRequest, context: Any) -> pb.AuthenticateResponse:
        """Who a credential belongs to."""
        principal = await self.core.authenticate(request.credential)
        cache_for = int(seconds_to_trust(principal) * SECOND)
        return pb.AuthenticateResponse(principal=principal_to_proto(principal), cache_for=to_duration(cache_for))


def _tenant_named(tenant: str) -> str:
    """The caller's own tenant, or the one that a service of the mesh names. Raises Unauthenticated and InvalidField."""
    if not current_principal().is_service:
        if tenant not in ("", current_tenant()):
            raise Unauthenticated("tenant_id: only a service of the mesh may name another tenant; leave it empty")
        return current_tenant()
    if not TENANT.fullmatch(tenant):
        raise InvalidField("tenant_id", f"is {shown(tenant)}; send 1 to 40 letters, digits, `_`, `.` or `-`")
    return tenant


def _checked_scopes(asked: Iterable[str]) -> tuple[str, ...]:
    scopes = tuple(dict.fromkeys(asked))
    for scope in scopes:
        if scope not in SCOPES:
            hint = did_you_mean(scope, SCOPES)
            raise InvalidField("scopes", f"there is no scope {shown(scope)}{hint}; there are {', '.join(SCOPES)}")
    return scopes or ORDINARY_SCOPES
