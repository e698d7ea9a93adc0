"""What tenant a may ask, and where in it something of tenant b could stand: found in the contract's descriptors."""

import binascii
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.scopes import SCOPE_OF_METHOD, SERVICE_ONLY
from monitors.mesh.times import now_nanos
from monitors.v1 import evaluator_service_pb2 as evaluator
from monitors.v1 import monitor_pb2, notification_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as notifier
from monitors.v1 import rule_service_pb2 as rules
from tests.tenancy.world import METHODS, Tenant, path_of

FOR_USERS = {name: method for name, method in METHODS.items() if SCOPE_OF_METHOD[path_of(method)] != SERVICE_ONLY}
FOR_SERVICES = METHODS.keys() - FOR_USERS.keys()
Path = tuple[str, ...]
DEPTH = 6


def own_requests(a: Tenant) -> dict[str, Message]:
    """A request of each method that users may call, which is right for its caller."""
    start = Timestamp(seconds=now_nanos() // 10**9 - 3600)
    rule = rule_pb2.Rule(monitor_id=a.monitor, title="mine", condition_text=f"field_{a.canary} > 99")
    changed = rule_pb2.Rule(id=a.ids["rule0"], title="mine")
    written = a.get("PreviewRule", rules.PreviewRuleRequest(rule=rule)).rule
    hook = notification_pb2.WebhookChannel(url="http://127.0.0.1:9/mine")
    channel = notification_pb2.Channel(name="mine", webhook=hook)
    # The last one is refused, so that nothing is changed by those before it.
    changes = [
        rules.RuleChange(create=rules.CreateRuleRequest(rule=rule)),
        rules.RuleChange(update=rules.UpdateRuleRequest(rule=changed)),
        rules.RuleChange(delete=rules.DeleteRuleRequest(rule_id=a.ids["rule1"])),
    ]
    sample = evaluator.WriteSamplesRequest(
        series=[
            evaluator.SeriesDefinition(
                key=monitor_pb2.SeriesKey(monitor_id=a.monitor, measurement=f"meas_{a.canary}", field="mine"),
                type=monitor_pb2.FIELD_TYPE_FLOAT,
            )
        ],
        series_indexes=struct.pack("<I", 0),
        times=struct.pack("<q", now_nanos()),
        values=struct.pack("<d", 1.0),
    )
    past = rules.PastAlert(
        key="mine", rule_id=a.ids["rule0"], monitor_id=a.monitor, fire_time=start, resolve_time=start
    )
    silence = notification_pb2.Silence(
        matchers=[notification_pb2.Matcher(name="mine", operator=notification_pb2.MATCH_OPERATOR_EQUAL, value="mine")],
        end_time=Timestamp(seconds=now_nanos() // 10**9 + 3600),
        comment="mine",
    )
    timing = notification_pb2.MuteTiming(
        name="mine", windows=[notification_pb2.TimeWindow(weekdays=["sunday"], years=["2199"])]
    )
    route = notification_pb2.Route(name="mine", position=1, channels=[f"ops-{a.canary}"], matchers=silence.matchers)
    policy = notification_pb2.EscalationPolicy(
        name="mine",
        position=1,
        steps=[notification_pb2.EscalationStep(after=Duration(seconds=60), channels=[f"ops-{a.canary}"])],
    )
    inhibition = notification_pb2.Inhibition(
        name="mine", source_matchers=silence.matchers, target_matchers=silence.matchers
    )
    query = evaluator.QuerySeriesRequest(monitor_id=a.monitor, field=f"field_{a.canary}", start_time=start)
    return {
        "CreateRule": rules.CreateRuleRequest(rule=rule),
        "GetRule": rules.GetRuleRequest(rule_id=a.ids["rule0"]),
        "ListRules": rules.ListRulesRequest(page_size=1),
        "UpdateRule": rules.UpdateRuleRequest(rule=changed),
        "DeleteRule": rules.DeleteRuleRequest(rule_id=a.ids["rule0"], etag="stale"),
        "BatchCreateRules": rules.BatchCreateRulesRequest(rules=[rule]),
        "BatchChangeRules": rules.BatchChangeRulesRequest(changes=changes, validate_only=True),
        "PreviewRule": rules.PreviewRuleRequest(rule=rule),
        "ListAlerts": rules.ListAlertsRequest(page_size=1),
        "GetAlert": rules.GetAlertRequest(alert_id=a.ids["alert0"]),
        "AcknowledgeAlerts": rules.AcknowledgeAlertsRequest(alert_ids=[a.ids["alert0"]]),
        "ResolveAlert": rules.ResolveAlertRequest(alert_id=a.ids["alert1"]),
        "ImportAlerts": rules.ImportAlertsRequest(alerts=[past]),
        "WatchAlerts": rules.WatchAlertsRequest(include_firing=True),
        "ExplainRule": rules.ExplainRuleRequest(rule_id=a.ids["rule0"]),
        "RegisterMonitor": rules.RegisterMonitorRequest(monitor_id=a.monitor),
        "ListMonitors": rules.ListMonitorsRequest(page_size=1),
        "ListChannelNames": rules.ListChannelNamesRequest(),
        "CreateChannelLink": rules.CreateChannelLinkRequest(),
        "CreateKey": rules.CreateKeyRequest(title="mine"),
        "ListKeys": rules.ListKeysRequest(page_size=1),
        "RevokeKey": rules.RevokeKeyRequest(key_id=a.ids["key"]),
        "ListAuditEvents": rules.ListAuditEventsRequest(page_size=1),
        "Authenticate": rules.AuthenticateRequest(credential=a.key),
        "WriteSamples": sample,
        "ListSeries": evaluator.ListSeriesRequest(page_size=1),
        "QuerySeries": query,
        "ExportSeries": evaluator.ExportSeriesRequest(monitor_id=a.monitor),
        "Backtest": evaluator.BacktestRequest(rule=written, start_time=start),
        "Explain": evaluator.ExplainRequest(rule_id=a.ids["rule0"]),
        "GetEvaluatorStatus": evaluator.GetEvaluatorStatusRequest(),
        "CreateChannel": notifier.CreateChannelRequest(channel=channel),
        "GetChannel": notifier.GetChannelRequest(channel_id=a.ids["channel"]),
        "ListChannels": notifier.ListChannelsRequest(page_size=1),
        "UpdateChannel": notifier.UpdateChannelRequest(
            channel=notification_pb2.Channel(id=a.ids["channel"], is_default=True)
        ),
        "DeleteChannel": notifier.DeleteChannelRequest(channel_id=a.ids["channel"], etag="stale"),
        "TestChannel": notifier.TestChannelRequest(channel_id=a.ids["channel"]),
        # Of a channel that isn't of e-mail, which is refused.
        "VerifyChannel": notifier.VerifyChannelRequest(channel_id=a.ids["channel"], code="0000-0000"),
        "SendVerification": notifier.SendVerificationRequest(channel_id=a.ids["channel"]),
        "CreateSilence": notifier.CreateSilenceRequest(silence=silence),
        "ListSilences": notifier.ListSilencesRequest(page_size=1),
        "UpdateSilence": notifier.UpdateSilenceRequest(
            silence=notification_pb2.Silence(id=a.ids["silence"], comment="mine")
        ),
        "DeleteSilence": notifier.DeleteSilenceRequest(silence_id=a.ids["silence"], etag="stale"),
        "CreateMuteTiming": notifier.CreateMuteTimingRequest(mute_timing=timing),
        "ListMuteTimings": notifier.ListMuteTimingsRequest(page_size=1),
        "UpdateMuteTiming": notifier.UpdateMuteTimingRequest(
            mute_timing=notification_pb2.MuteTiming(id=a.ids["timing"], active=True)
        ),
        "DeleteMuteTiming": notifier.DeleteMuteTimingRequest(mute_timing_id=a.ids["timing"], etag="stale"),
        "CreateRoute": notifier.CreateRouteRequest(route=route),
        "ListRoutes": notifier.ListRoutesRequest(page_size=1),
        "UpdateRoute": notifier.UpdateRouteRequest(route=notification_pb2.Route(id=a.ids["route"], continues=True)),
        "DeleteRoute": notifier.DeleteRouteRequest(route_id=a.ids["route"], etag="stale"),
        "CreateInhibition": notifier.CreateInhibitionRequest(inhibition=inhibition),
        "ListInhibitions": notifier.ListInhibitionsRequest(page_size=1),
        "UpdateInhibition": notifier.UpdateInhibitionRequest(
            inhibition=notification_pb2.Inhibition(id=a.ids["inhibition"], enabled=False)
        ),
        "DeleteInhibition": notifier.DeleteInhibitionRequest(inhibition_id=a.ids["inhibition"], etag="stale"),
        "PreviewRouting": notifier.PreviewRoutingRequest(monitor_id=a.monitor),
        "CreateEscalationPolicy": notifier.CreateEscalationPolicyRequest(escalation_policy=policy),
        "ListEscalationPolicies": notifier.ListEscalationPoliciesRequest(page_size=1),
        "UpdateEscalationPolicy": notifier.UpdateEscalationPolicyRequest(
            escalation_policy=notification_pb2.EscalationPolicy(id=a.ids["policy"], position=7)
        ),
        "DeleteEscalationPolicy": notifier.DeleteEscalationPolicyRequest(
            escalation_policy_id=a.ids["policy"], etag="stale"
        ),
        "ListDeliveries": notifier.ListDeliveriesRequest(page_size=1),
        "GetDelivery": notifier.GetDeliveryRequest(delivery_id=a.ids["delivery"]),
        # Of a channel that isn't there, so that it changes nothing.
        "RetryDeliveries": notifier.RetryDeliveriesRequest(channel="none", since_time=Timestamp(seconds=1)),
        "RetryDelivery": notifier.RetryDeliveryRequest(delivery_id=a.ids["delivery"]),
        "ListNotifierAuditEvents": notifier.ListNotifierAuditEventsRequest(page_size=1),
        "GetNotifierStatus": notifier.GetNotifierStatusRequest(),
    }


def values_of(b: Tenant) -> dict[str, tuple[str, ...]]:
    """What of tenant b may stand in a field, by the field's name, or by its message's and its own."""
    c, ids = b.canary, b.ids
    word, rule, channel = (f"value_{c}",), (ids["rule0"],), (ids["channel"], f"ops-{c}")
    tags = (f"tag_{c}=value_{c}",)
    return {
        "Rule.id": rule, "rule_id": rule, "Rule.key": (f"key-{c}-0",), "Rule.etag": (ids["rule0_etag"],),
        "Rule.notify": (f"ops-{c}",), "Rule.labels": tags, "Rule.annotations": tags, "Rule.group_by": (f"tag_{c}",),
        "Rule.creator": (ids["key"],), "Rule.updater": (ids["key"],),
        "PastAlert.key": (f"past_{c}", ids["alert0"]), "PastAlert.detail": word, "Acknowledgement.user": (ids["key"],),
        "alert_id": (ids["alert0"],), "alert_ids": (ids["alert0"],),
        "Channel.id": channel, "channel_id": channel, "Channel.name": (f"ops-{c}",), "channel": (f"ops-{c}",),
        "channel_name": (f"ops-{c}",), "Channel.etag": (ids["channel_etag"],), "Channel.disabled_reason": word,
        "delivery_id": (ids["delivery"],), "told_with": (ids["delivery"],),
        "key_id": (ids["key"],), "credential": (_damaged(ids["key_text"]),),
        "monitor_id": (b.monitor, f"{b.monitor}*"), "monitor_ids": (b.monitor,), "tenant_id": (b.name,),
        "request_id": (f"rule-{c}-0", f"chan-{c}", f"ack-{c}"), "etag": (ids["rule0_etag"], ids["channel_etag"]),
        "filter": tuple(
            f"{name}={value}"
            for name, value in (
                ("rule_id", ids["rule0"]), ("monitor_id", b.monitor), ("title", f"title {c}"), ("key", f"key-{c}*"),
                (f"label.label_{c}", f"value_{c}"), ("notify", f"ops-{c}"),
            )
        ),
        "query": (b.monitor,), "title": (f"title {c} 0",), "note": (f"note {c}",),
        "condition_text": (f"field_{c} > 1",),
        "AuditQuery.resource_id": (*rule, ids["channel"], ids["key"]), "AuditQuery.user": (ids["key"],),
        "AuditQuery.kind": word,
        "field": (f"field_{c}",), "measurement": (f"meas_{c}",), "tags": tags, "TagFilter.tag": (f"tag_{c}",),
        "Matcher.name": (f"label_{c}",), "Matcher.value": (f"silent_{c}",), "silence_id": (ids["silence"],),
        "mute_timing_id": (ids["timing"],), "Silence.id": (ids["silence"],), "Silence.etag": (ids["silence_etag"],),
        "MuteTiming.id": (ids["timing"],), "MuteTiming.etag": (ids["timing_etag"],),
        "MuteTiming.name": (f"timing {c} 0",), "Route.id": (ids["route"],),
        "route_id": (ids["route"], f"route {c} 0"), "Route.name": (f"route {c} 0",), "Route.etag": (ids["route_etag"],),
        "Inhibition.id": (ids["inhibition"],), "inhibition_id": (ids["inhibition"], f"inhibition {c} 0"),
        "Inhibition.name": (f"inhibition {c} 0",), "Inhibition.etag": (ids["inhibition_etag"],),
        "Inhibition.equal": (f"label_{c}",),
        "Route.channels": (f"ops-{c}",), "PreviewRoutingRequest.labels": tags,
        "PreviewRoutingRequest.notify": (f"ops-{c}",), "Silence.comment": (f"comment {c} 0",),
        "Silence.creator": (ids["key"],), "WebhookChannel.secret": (ids["secret"],), "WebhookChannel.url": (f"http://127.0.0.1:9/{c}",),
        "EmailChannel.addresses": (f"{c}@example.org",), "EmailChannel.waiting_addresses": (f"{c}@example.org",),
        "EmailChannel.unsubscribed_addresses": (f"{c}@example.org",), "MonitorField.last_text": word,
        "Grouping.labels": (f"label_{c}",), "Channel.title_template": (f"{{{{labels.label_{c}}}}}",),
        "Channel.body_template": (f"{{{{labels.label_{c}}}}}",),
        "escalation_policy_id": (ids["policy"],), "EscalationPolicy.id": (ids["policy"],),
        "EscalationPolicy.etag": (ids["policy_etag"],), "EscalationPolicy.name": (f"policy {c} 0",),
        "EscalationStep.channels": (f"ops-{c}",),
    }  # fmt: skip


# Nothing of anybody: numbers as bytes, words that the contract itself lists, secrets that go one way, and parts of a
# condition, which refer to what their fields are named by.
OF_NOBODY = {
    "WriteSamplesRequest.series_indexes", "WriteSamplesRequest.times", "WriteSamplesRequest.values",
    "WriteSamplesRequest.texts", "CreateKeyRequest.scopes", "WebhookChannel.secret_fingerprint",
    "WebhookChannel.former_secret_fingerprint",
    "SlackChannel.webhook_url", "SlackChannel.fingerprint", "DiscordChannel.webhook_url", "DiscordChannel.fingerprint",
    "TeamsChannel.workflow_url", "TeamsChannel.fingerprint", "PagerDutyChannel.routing_key",
    "PagerDutyChannel.events_url",
    "PagerDutyChannel.fingerprint", "AppriseChannel.url", "AppriseChannel.service", "AppriseChannel.fingerprint",
    "TimeWindow.times", "TimeWindow.weekdays", "TimeWindow.days_of_month", "TimeWindow.months", "TimeWindow.years",
    "TimeWindow.time_zone", "Arithmetic.on", "Junction.on", "GroupAggregate.by", "GroupAggregate.without",
    "VerifyChannelRequest.code", "Comparison.text", "TextList.values", "TagFilter.value",
}  # fmt: skip


@dataclass(frozen=True)
class Place:
    """A field of text within a request, by the way to it; `name` is its message's and its own."""

    path: Path
    name: str
    is_map: bool
    is_repeated: bool


def places(kind: Descriptor, before: Path = (), above: frozenset[str] = frozenset()) -> Iterator[Place]:
    """All fields of text in a message, however deep; what holds itself is entered once."""
    for each in kind.fields:
        path, inner = (*before, each.name), each.message_type
        if inner is None:
            if each.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
                yield Place(path, f"{kind.name}.{each.name}", False, each.is_repeated)
        elif inner.GetOptions().map_entry:
            yield Place(path, f"{kind.name}.{each.name}", True, False)
        elif not inner.full_name.startswith("google.") and inner.full_name not in above:
            yield from places(inner, path, above | {inner.full_name})


def values_at(place: Place, values: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """What of tenant b may stand at a place; nothing where nothing of anybody stands. Raises KeyError if nobody has
    thought about it."""
    if place.name in OF_NOBODY:
        return ()
    if place.path[-1] == "page_token":
        return ("",)
    return values[place.name] if place.name in values else values[place.path[-1]]


def with_value(request: Message, place: Place, value: str) -> Message:
    """The request with a value at a place; the first one, where there are several."""
    changed = type(request)()
    changed.CopyFrom(request)
    message: Message = changed
    for name in place.path[:-1]:
        field = message.DESCRIPTOR.fields_by_name[name]
        if field.is_repeated:
            items = getattr(message, name)
            message = _with(items, place.path[place.path.index(name) + 1]) or items.add()
        else:
            message = getattr(message, name)
    last = place.path[-1]
    if place.is_map:
        name, _, text = value.partition("=")
        getattr(message, last)[name] = text
    elif place.is_repeated:
        getattr(message, last).append(value)
    else:
        setattr(message, last, value)
    return changed


def _with(items: list[Message], name: str) -> Message | None:
    """The item that has the next part of a path, or the first one."""
    fitting = [item for item in items if item.DESCRIPTOR.fields_by_name[name].containing_oneof and item.HasField(name)]
    return next(iter([*fitting, *items]), None)


def request_kind(method: MethodDescriptor) -> type[Message]:
    return GetMessageClass(method.input_type)


def _damaged(key: str) -> str:
    """A key as it would be guessed from its id: of the right form, with other random characters."""
    body = key.rpartition("_")[0]
    body = body[:-8] + "AAAAAAAA"
    return f"{body}_{binascii.crc32(body.encode()):08x}"
