"""Which scope each RPC demands. A method that isn't listed is refused, and a test holds the list complete."""

ANYBODY = "anybody"
SERVICE_ONLY = "service"

_SCOPES = {
    "monitors.v1.RuleService": {
        "rules:read": "GetRule ListRules PreviewRule ExplainRule ListMonitors ListChannelNames",
        "rules:write": "CreateRule UpdateRule DeleteRule BatchCreateRules BatchChangeRules RegisterMonitor",
        "alerts:read": "ListAlerts GetAlert WatchAlerts",
        "alerts:write": "AcknowledgeAlerts ResolveAlert",
        "channels:write": "CreateChannelLink",
        "admin": "CreateKey ListKeys RevokeKey ListAuditEvents ImportAlerts",
        ANYBODY: "Authenticate",
        SERVICE_ONLY: "WatchRules LeaseShards LoadShardStates SaveShardState RecordTransitions ReportSeries "
        "LeaseNotifications AcknowledgeNotifications ReportDeliveries MirrorChannels CheckEvaluation "
        "CheckAlerts DrawAlert",
    },
    "monitors.v1.EvaluatorService": {
        "samples:write": "WriteSamples",
        "samples:read": "ListSeries QuerySeries ExportSeries",
        "rules:read": "Backtest Explain GetEvaluatorStatus",
    },
    "monitors.v1.NotifierService": {
        "channels:read": "GetChannel ListChannels GetDelivery ListDeliveries ListSilences ListMuteTimings "
        "ListRoutes ListInhibitions PreviewRouting ListEscalationPolicies GetNotifierStatus",
        "channels:write": "CreateChannel UpdateChannel DeleteChannel TestChannel VerifyChannel SendVerification "
        "RetryDelivery RetryDeliveries "
        "CreateSilence UpdateSilence DeleteSilence CreateMuteTiming UpdateMuteTiming DeleteMuteTiming "
        "CreateRoute UpdateRoute DeleteRoute CreateInhibition UpdateInhibition DeleteInhibition "
        "CreateEscalationPolicy UpdateEscalationPolicy DeleteEscalationPolicy",
        "admin": "ListNotifierAuditEvents",
    },
}

SCOPE_OF_METHOD = {
    f"/{service}/{method}": scope
    for service, scopes in _SCOPES.items()
    for scope, methods in scopes.items()
    for method in methods.split()
}


def scope_of(method: str) -> str:
    """The scope that `/package.Service/Method` demands. Health and reflection are open; the unknown is closed."""
    if method.startswith(("/grpc.health.v1.Health/", "/grpc.reflection.")):
        return ANYBODY
    return SCOPE_OF_METHOD.get(method, SERVICE_ONLY)
