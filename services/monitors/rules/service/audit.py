"""RuleService: the audit."""

import json
from typing import Any

from monitors.mesh.audit_pages import event_to_proto, page_size, read_query
from monitors.mesh.audit_table import list_events
from monitors.mesh.identity import current_tenant
from monitors.rules.model.pages import read_token, write_token
from monitors.rules.service.base import Part
from monitors.rules.store.tables import audit
from monitors.v1 import rule_service_pb2 as pb


class AuditCalls(Part):
    """What was changed, and by whom."""

    async def ListAuditEvents(self, request: pb.ListAuditEventsRequest, context: Any) -> pb.ListAuditEventsResponse:
        """A page of events."""
        tenant, size, query = current_tenant(), page_size(request.page_size), read_query(request.query)
        bound_to = json.dumps(["ListAuditEvents", tenant, repr(query)])
        after = read_token(request.page_token, bound_to)
        found = await self.core.database.read(
            lambda session: list_events(session, audit, tenant, query, after, size + 1)
        )
        response = pb.ListAuditEventsResponse(events=map(event_to_proto, found[:size]))
        if len(found) > size:
            response.next_page_token = write_token(bound_to, (found[size - 1].time, found[size - 1].id))
        return response
