"""NotifierService for those who set of what they're told, and when."""

from typing import Any

from monitors.notifier.policies.calls import PolicyCalls
from monitors.notifier.policies.escalations import ESCALATIONS
from monitors.notifier.policies.inhibitions import INHIBITIONS
from monitors.notifier.policies.routes import ROUTES
from monitors.notifier.policies.routing import Routing
from monitors.notifier.policies.silences import SILENCES
from monitors.notifier.policies.timings import TIMINGS
from monitors.v1 import notifier_service_pb2 as pb


class PolicyService:
    """What concerns silences, mute timings, inhibitions, routes and escalation policies."""

    _policies: PolicyCalls
    _routing: Routing

    async def CreateSilence(self, request: pb.CreateSilenceRequest, context: Any) -> pb.CreateSilenceResponse:
        return await self._policies.create(SILENCES, request, pb.CreateSilenceResponse)

    async def ListSilences(self, request: pb.ListSilencesRequest, context: Any) -> pb.ListSilencesResponse:
        everything = request.include_expired
        return await self._policies.list(SILENCES, request, pb.ListSilencesResponse, everything=everything)

    async def UpdateSilence(self, request: pb.UpdateSilenceRequest, context: Any) -> pb.UpdateSilenceResponse:
        return await self._policies.update(SILENCES, request, pb.UpdateSilenceResponse)

    async def DeleteSilence(self, request: pb.DeleteSilenceRequest, context: Any) -> pb.DeleteSilenceResponse:
        return await self._policies.delete(SILENCES, request, pb.DeleteSilenceResponse)

    async def CreateMuteTiming(self, request: pb.CreateMuteTimingRequest, context: Any) -> pb.CreateMuteTimingResponse:
        return await self._policies.create(TIMINGS, request, pb.CreateMuteTimingResponse)

    async def ListMuteTimings(self, request: pb.ListMuteTimingsRequest, context: Any) -> pb.ListMuteTimingsResponse:
        return await self._policies.list(TIMINGS, request, pb.ListMuteTimingsResponse)

    async def UpdateMuteTiming(self, request: pb.UpdateMuteTimingRequest, context: Any) -> pb.UpdateMuteTimingResponse:
        return await self._policies.update(TIMINGS, request, pb.UpdateMuteTimingResponse)

    async def DeleteMuteTiming(self, request: pb.DeleteMuteTimingRequest, context: Any) -> pb.DeleteMuteTimingResponse:
        return await self._policies.delete(TIMINGS, request, pb.DeleteMuteTimingResponse)

    async def CreateInhibition(self, request: pb.CreateInhibitionRequest, context: Any) -> pb.CreateInhibitionResponse:
        return await self._policies.create(INHIBITIONS, request, pb.CreateInhibitionResponse)

    async def ListInhibitions(self, request: pb.ListInhibitionsRequest, context: Any) -> pb.ListInhibitionsResponse:
        return await self._policies.list(INHIBITIONS, request, pb.ListInhibitionsResponse)

    async def UpdateInhibition(self, request: pb.UpdateInhibitionRequest, context: Any) -> pb.UpdateInhibitionResponse:
        return await self._policies.update(INHIBITIONS, request, pb.UpdateInhibitionResponse)

    async def DeleteInhibition(self, request: pb.DeleteInhibitionRequest, context: Any) -> pb.DeleteInhibitionResponse:
        return await self._policies.delete(INHIBITIONS, request, pb.DeleteInhibitionResponse)

    async def CreateRoute(self, request: pb.CreateRouteRequest, context: Any) -> pb.CreateRouteResponse:
        return await self._policies.create(ROUTES, request, pb.CreateRouteResponse)

    async def ListRoutes(self, request: pb.ListRoutesRequest, context: Any) -> pb.ListRoutesResponse:
        return await self._policies.list(ROUTES, request, pb.ListRoutesResponse)

    async def UpdateRoute(self, request: pb.UpdateRouteRequest, context: Any) -> pb.UpdateRouteResponse:
        return await self._policies.update(ROUTES, request, pb.UpdateRouteResponse)

    async def DeleteRoute(self, request: pb.DeleteRouteRequest, context: Any) -> pb.DeleteRouteResponse:
        return await self._policies.delete(ROUTES, request, pb.DeleteRouteResponse)

    async def PreviewRouting(self, request: pb.PreviewRoutingRequest, context: Any) -> pb.PreviewRoutingResponse:
        return await self._routing.preview(request)

    async def CreateEscalationPolicy(
        self, request: pb.CreateEscalationPolicyRequest, context: Any
    ) -> pb.CreateEscalationPolicyResponse:
        return await self._policies.create(ESCALATIONS, request, pb.CreateEscalationPolicyResponse)

    async def ListEscalationPolicies(
        self, request: pb.ListEscalationPoliciesRequest, context: Any
    ) -> pb.ListEscalationPoliciesResponse:
        return await self._policies.list(ESCALATIONS, request, pb.ListEscalationPoliciesResponse)

    async def UpdateEscalationPolicy(
        self, request: pb.UpdateEscalationPolicyRequest, context: Any
    ) -> pb.UpdateEscalationPolicyResponse:
        return await self._policies.update(ESCALATIONS, request, pb.UpdateEscalationPolicyResponse)

    async def DeleteEscalationPolicy(
        self, request: pb.DeleteEscalationPolicyRequest, context: Any
    ) -> pb.DeleteEscalationPolicyResponse:
        return await self._policies.delete(ESCALATIONS, request, pb.DeleteEscalationPolicyResponse)
