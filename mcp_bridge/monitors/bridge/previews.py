"""What a rule means, before or after it is saved, and what it would have done."""

from dataclasses import dataclass

import grpc
from mcp_types import ImageContent

from monitors.bridge.backtest_models import Backtest
from monitors.bridge.backtests import backtest_detail, is_known
from monitors.bridge.client import Caller
from monitors.bridge.convert import clean
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.toolkit import picture
from monitors.bridge.values import DAY, format_duration, to_duration
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

DEFAULT_WINDOW = DAY
# A dry run for which nobody asked how far back isn't worth a longer wait.
DEFAULT_SECONDS = 8.0
_TOO_MUCH = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)


@dataclass(frozen=True)
class Trial:
    """A rule as it would be saved, what it would have done, if that could be found out, and a picture of it."""

    checked: pb.PreviewRuleResponse
    backtest: Backtest | None
    picture: ImageContent | None
    warnings: list[str]

    @property
    def meaning(self) -> str | None:
        """The rule in words."""
        return clean(self.checked.explanation, 1_000) or None


async def preview(caller: Caller, rule: rule_pb2.Rule) -> pb.PreviewRuleResponse:
    """The rule with everything filled in, its meaning, warnings and series. Raises RpcFailed if it isn't valid."""
    return await caller.read(caller.stub.PreviewRule, pb.PreviewRuleRequest(rule=rule))


async def trial(caller: Caller, rule: rule_pb2.Rule, window: int | None, now: int) -> Trial:
    """A rule tried on the last `window` nanoseconds, or on the last day, which is left out if that takes too long.

    Raises RpcFailed if the rule isn't valid, or can't be tried on the `window` that was asked for.
    """
    back = DEFAULT_WINDOW if window is None else window
    request = pb.PreviewRuleRequest(rule=rule, backtest_window=to_duration(back), include_chart=True)
    try:
        seconds = DEFAULT_SECONDS if window is None else None
        checked = await caller.read(caller.stub.PreviewRule, request, seconds=seconds)
    except RpcFailed as error:
        is_about_time = error.code in _TOO_MUCH or "backtest_window:" in str(error)
        if window is not None or not is_about_time:
            raise
        checked = await preview(caller, rule)
        checked.warnings.append(
            f"what it would have done in the last {format_duration(DEFAULT_WINDOW)} takes too long to find out; "
            "ask with a shorter backtest_window"
        )
    return _trial(checked, back, now)


def untried(checked: pb.PreviewRuleResponse) -> Trial:
    """A rule that was only checked."""
    return _trial(checked, 0, 0)


def _trial(checked: pb.PreviewRuleResponse, window: int, now: int) -> Trial:
    is_drawn = bool(checked.chart) and any(map(is_known, checked.backtest.curves))
    return Trial(
        checked,
        backtest_detail(checked.backtest, checked.rule.condition, window, now)
        if checked.HasField("backtest")
        else None,
        picture(checked.chart) if is_drawn else None,
        [clean(warning) for warning in checked.warnings],
    )


async def look_at_saved(caller: Caller, rule_id: str) -> tuple[str | None, list[str]]:
    """A saved rule in words, and what there is to warn of; nothing if that can't be had, which is no reason to call a
    change that was made failed."""
    try:
        response = await preview(caller, rule_pb2.Rule(id=rule_id))
    except BridgeError:
        return None, []
    return clean(response.explanation, 1_000) or None, [clean(warning) for warning in response.warnings]


def all_of(*warnings: list[str]) -> list[str]:
    """Warnings of several answers, each once."""
    return list(dict.fromkeys(warning for some in warnings for warning in some))
