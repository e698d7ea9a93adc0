"""Completion: ids of rules and monitors while somebody types them."""

import logging
from collections.abc import Iterable
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.mcpserver import Context
from mcp_types import CompleteRequestParams, CompleteResult, Completion, PromptReference

from monitors.bridge.client import Caller
from monitors.bridge.errors import BridgeError
from monitors.bridge.lookup import filter_term
from monitors.bridge.prompts import CHOICES, triage
from monitors.bridge.resources import RULE
from monitors.bridge.toolkit import Bridge, caller_of
from monitors.v1 import rule_service_pb2 as pb

log = logging.getLogger(__name__)

MOST_VALUES = 100
LONGEST_VALUE = 256
_SEARCHED = 1_000
_ID = "rule_"


async def complete(context: ServerRequestContext[Bridge, Any], params: CompleteRequestParams) -> CompleteResult:
    """Serves `completion/complete`. What can't be completed, for whatever reason, has no completions."""
    typed = params.argument.value.strip()
    try:
        found = await _completion(caller_of(Context(request_context=context)), params, typed[:LONGEST_VALUE])
    except BridgeError as error:
        log.info("%s can't be completed: %s", params.argument.name, error)
        found = _completed([], 0)
    return CompleteResult(completion=found)


async def _completion(caller: Caller, params: CompleteRequestParams, typed: str) -> Completion:
    ref = params.ref
    owner = ref.name if isinstance(ref, PromptReference) else ref.uri
    match owner, params.argument.name:
        case (uri, "rule_id") if uri == RULE:
            return await _rule_ids(caller, typed)
        case (name, "monitor") if name == triage.__name__:
            return await _monitor_ids(caller, typed)
        case (name, "severity") if name == triage.__name__:
            values = [severity for severity in CHOICES if severity.startswith(typed.lower())]
            return _completed(values, len(values))
    return _completed([], 0)


async def _rule_ids(caller: Caller, typed: str) -> Completion:
    """Rules whose id begins with what was typed, among the newest thousand, then those with it in their title."""
    if not typed:
        some = await caller.read(caller.stub.ListRules, pb.ListRulesRequest(page_size=MOST_VALUES))
        return _completed((rule.id for rule in some.rules), some.total_count)
    newest = pb.ListRulesResponse()
    if typed[: len(_ID)] == _ID[: len(typed)]:
        newest = await caller.read(caller.stub.ListRules, pb.ListRulesRequest(page_size=_SEARCHED))
    begun = [rule.id for rule in newest.rules if rule.id.startswith(typed)]
    request = pb.ListRulesRequest(page_size=_SEARCHED, filter=filter_term("title", typed))
    titled = await caller.read(caller.stub.ListRules, request)
    both = {rule.id for rule in titled.rules}.intersection(begun)
    ids = dict.fromkeys((*begun, *(rule.id for rule in titled.rules)))
    return _completed(ids, len(begun) + titled.total_count - len(both), is_cut=bool(newest.next_page_token))


async def _monitor_ids(caller: Caller, typed: str) -> Completion:
    """Monitors whose id begins with what was typed, then those that contain it."""
    response = await caller.read(caller.stub.ListMonitors, pb.ListMonitorsRequest(page_size=_SEARCHED, query=typed))
    ids = sorted((monitor.id for monitor in response.monitors), key=lambda known: not known.startswith(typed))
    return _completed(ids, response.total_count)


def _completed(values: Iterable[str], total: int, *, is_cut: bool = False) -> Completion:
    """The first of the values. `is_cut` says that there may be more than `total`."""
    shown = list(values)[:MOST_VALUES]
    return Completion(values=shown, total=total, has_more=is_cut or total > len(shown))
