"""What a rule means, before or after it is saved."""

from monitors.bridge.client import Caller
from monitors.bridge.convert import clean
from monitors.bridge.errors import BridgeError
from monitors.bridge.values import to_duration
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb


async def preview(caller: Caller, rule: rule_pb2.Rule, window: int | None = None) -> pb.PreviewRuleResponse:
    """The rule with everything filled in, its meaning, warnings and series, and with a window of that many nanoseconds
    what it would have done. Raises RpcFailed if it isn't valid."""
    request = pb.PreviewRuleRequest(rule=rule)
    if window is not None:
        request.backtest_window.CopyFrom(to_duration(window))
    return await caller.read(caller.stub.PreviewRule, request)


async def meaning_of(caller: Caller, rule_id: str) -> str | None:
    """A saved rule in words; None if that can't be had, which is no reason to call a change that was made failed."""
    try:
        response = await preview(caller, rule_pb2.Rule(id=rule_id))
    except BridgeError:
        return None
    return clean(response.explanation, 1_000) or None
