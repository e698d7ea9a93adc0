"""Errors as the model reads them: what was wrong, what is accepted, what to do next, whether anything was changed."""

import re

import grpc
from mcp.server.mcpserver.exceptions import ToolError

from monitors.bridge.convert import clean

# An error of RuleService carries status details and its message is written for people; one that gRPC made doesn't.
DETAILS_KEY = "grpc-status-details-bin"
# An error is read in one go. In bytes, since texts of other scripts take more.
LONGEST_REASON = 380
UNCHANGED = "Nothing was changed."
DOUBT = "It isn't certain whether the change was made: look with list_alert_rules or list_alerts before repeating it."

# RuleService speaks of its own fields; the model knows the tools' parameters.
_PARAMETERS = {
    "monitor_id": "monitor",
    "condition_text": "condition",
    "for_duration": "for",
    "no_data_policy": "no_data",
    "snooze_until_time": "snooze_until",
    "annotations": "runbook_url",
    "alert_ids": "alert_id",
    "page_token": "cursor",
    "page_size": "limit",
    "etag": "expected_version",
}
_CALLS = {
    "ListRules": "list_alert_rules",
    "GetRule": "list_alert_rules with rule_id",
    "ListAlerts": "list_alerts",
    "GetAlert": "list_alerts with alert_id",
    "ListMonitors": "list_alert_rules with include='monitors'",
    "next_page_token": "next_cursor",
}
# A field is told from a user's own words by its `rule.`, or by its place before a colon at the start of a violation.
_FIELD = re.compile(r"\brule\.([a-z_]+)|(?:^|(?<=; ))([a-z_]+)(?=: )")
_MISSING = re.compile(r"^there is no (rule|alert) ")
_GIVEN = re.compile(r"^there is no (rule|alert) ['\"](rule_|alert_)?")
_LEVEL = re.compile(r"(?:rule\.)?\blevels\[\d+\]\.\w+")
_CALL = re.compile(rf"\b(?:{'|'.join(_CALLS)})\b")


class BridgeError(ToolError):
    """An error whose text is complete by itself and meant for the model.

    The server adds that nothing was changed to what a writing tool raises, unless `in_doubt`.
    """

    def __init__(self, text: str, *, in_doubt: bool = False) -> None:
        super().__init__(text)
        self.in_doubt = in_doubt


class RpcFailed(BridgeError):
    """A call of RuleService that failed. `is_unknown_channel` says that only a channel is missing."""

    def __init__(self, text: str, code: grpc.StatusCode, *, in_doubt: bool, is_unknown_channel: bool = False) -> None:
        super().__init__(text, in_doubt=in_doubt)
        self.code = code
        self.is_unknown_channel = is_unknown_channel


def in_tool_words(message: str) -> str:
    """A message of RuleService with the tools and their parameters in place of its calls and fields."""

    def parameter(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        return _PARAMETERS.get(name, name)

    message = _MISSING.sub(r"\1_id: \g<0>", message) + _what_else_it_is(message)
    return _CALL.sub(lambda match: _CALLS[match.group()], _FIELD.sub(parameter, _LEVEL.sub("levels", message)))


def _what_else_it_is(message: str) -> str:
    """Where what was given for an id belongs, if it's plainly something else."""
    match _GIVEN.match(message):
        case None:
            return ""
        case found:
            kind, prefix = found.groups()
    match kind, prefix:
        case "alert", "rule_":
            return "; this is a rule's id, and list_alerts with rule_id shows its alerts"
        case "rule", "alert_":
            return "; this is an alert's id, and list_alerts with alert_id names its rule"
        case "rule", None:
            return "; an id begins with rule_, and list_alert_rules with query finds the one of a title"
    return ""


def is_from_service(error: grpc.aio.AioRpcError) -> bool:
    """Whether RuleService itself wrote the error, so that its message may be passed on."""
    return any(key == DETAILS_KEY for key, _ in error.trailing_metadata() or ())


def gives_reason(error: grpc.aio.AioRpcError, reason: str) -> bool:
    """Whether RuleService gives this reason. The bridge doesn't have the details' own message type, so the field is
    looked for as it's written: its number, its length, and the text."""
    field = bytes([0x0A, len(reason)]) + reason.encode()
    return any(key == DETAILS_KEY and field in value for key, value in error.trailing_metadata() or ())


def explain(
    error: grpc.aio.AioRpcError,
    *,
    address: str,
    method: str,
    writes: bool,
    sent_before: bool = False,
    is_lent_key: bool = True,
) -> RpcFailed:
    """The error for the model.

    `writes` says that the call would have changed something, `sent_before` that an earlier try of it may have arrived,
    `is_lent_key` that the credential was the bridge's own.
    """
    code = error.code()
    if is_from_service(error):
        text = clean(in_tool_words(error.details() or ""), LONGEST_REASON).rstrip(". ") + "."
        in_doubt = writes and (code in _FAULTS or (sent_before and code is grpc.StatusCode.UNAVAILABLE))
        says_enough = "list_al" in text or (code is grpc.StatusCode.UNAUTHENTICATED and not is_lent_key)
        hint = "" if says_enough else _HINTS.get(code, "")
    else:
        arrived = sent_before or not (never_sent(error) or code is grpc.StatusCode.UNIMPLEMENTED)
        in_doubt = writes and arrived
        text, hint = _from_grpc(error, address, method, in_doubt), ""
    parts = (text, hint, DOUBT if in_doubt else "")
    told = " ".join(part for part in parts if part)
    return RpcFailed(told, code, in_doubt=in_doubt, is_unknown_channel=gives_reason(error, "UNKNOWN_CHANNEL"))


# A fault inside the service may come after the change; its other errors are found before it.
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS)
_HINTS = {
    grpc.StatusCode.NOT_FOUND: "list_alert_rules and list_alerts show the ids that exist.",
    grpc.StatusCode.ABORTED: "list_alert_rules with rule_id shows the current version.",
    grpc.StatusCode.UNAUTHENTICATED: (
        "The key comes from MONITORS_KEY, or from the file `key` in MONITORS_HOME (default ~/.monitors) "
        "that a running mesh has written."
    ),
}


def _from_grpc(error: grpc.aio.AioRpcError, address: str, method: str, in_doubt: bool) -> str:
    match error.code():
        case grpc.StatusCode.UNAVAILABLE if never_sent(error):
            unchanged = "" if in_doubt else "; nothing was changed"
            return (
                f"The mesh at {address} can't be reached{unchanged}. Start it with `make run` or `monitors up`, "
                "or set MONITORS_SERVER to its address, then try again."
            )
        case grpc.StatusCode.UNAVAILABLE:
            return f"The connection to the mesh at {address} broke; `monitors up` starts it again."
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"The mesh at {address} didn't answer in time; try again later."
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"The mesh at {address} doesn't know {method}; it is older than this bridge. Update it."
        case grpc.StatusCode.RESOURCE_EXHAUSTED:
            return f"The request or its answer is too large for the mesh at {address}; ask for less at once."
        case grpc.StatusCode.CANCELLED:
            return f"The mesh at {address} broke the call off, as it does when it stops; try again."
    return f"The mesh at {address} failed ({error.code().name}); its log says why."


def never_sent(error: grpc.aio.AioRpcError) -> bool:
    """Whether no connection could be made, or none to a replica that takes calls. gRPC says so in words only."""
    details = (error.details() or "").lower()
    return "failed to connect" in details or "backend unhealthy" in details
