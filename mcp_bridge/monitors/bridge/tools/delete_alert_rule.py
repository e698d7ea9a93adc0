"""delete_alert_rule: deletes a rule once its user has agreed, and answers with what makes it again."""

from typing import Annotated
from uuid import uuid4

from mcp.server.mcpserver import AcceptedElicitation, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import BaseModel, Field

from monitors.bridge import render
from monitors.bridge.convert import FULL_TITLE, clean, lost_on_restore, restore_arguments, rule_detail
from monitors.bridge.errors import BridgeError
from monitors.bridge.lookup import find_rule
from monitors.bridge.models import DeletedRule
from monitors.bridge.parameters import Arguments, Text
from monitors.bridge.phrases import named
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, can_be_asked, make_tool, now_nanos
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Deletes a rule, given by rule_id or its exact title, and resolves its open alerts. The user is asked first; where "
    "the client can't ask, confirm_title must repeat the rule's title. To pause a rule use update_alert_rule with "
    "enabled=false or snooze_until. Returns the rule, with arguments that restore it."
)


class DeleteArguments(Arguments):
    """The parameters."""

    rule_id: Text = None
    title: Annotated[Text, Field(description="Exact title, if the id isn't known")] = None
    confirm_title: Annotated[Text, Field(description="The title again, if the user can't be asked")] = None


class Consent(BaseModel):
    """What the user is asked for."""

    delete: bool = Field(title="Delete the rule")


def can_ask(context: ToolContext) -> bool:
    """Whether the client takes questions for its user, in a form, on this connection."""
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    if elicitation is None or (elicitation.form is None and elicitation.url is not None):
        return False
    return can_be_asked(context)


async def find(arguments: DeleteArguments, context: ToolContext) -> rule_pb2.Rule:
    """The rule that is meant; read once for the question and the deletion, so that both are about the same."""
    return await find_rule(caller_of(context), arguments.rule_id, arguments.title)


FoundRule = Annotated[rule_pb2.Rule, Resolve(find)]


async def ask(arguments: DeleteArguments, context: ToolContext, rule: FoundRule) -> Consent | Elicit[Consent]:
    """The question, or the consent that `confirm_title` gives."""
    title, condition = clean(rule.title, FULL_TITLE), clean(rule.condition_text, 200)
    if arguments.confirm_title and clean(arguments.confirm_title, FULL_TITLE) != title:
        raise BridgeError(
            f"confirm_title: {clean(arguments.confirm_title, 60)!r} isn't the title of {rule.id}, which is {title!r}."
        )
    if can_ask(context):
        # An answer to another question than this doesn't count, and with the version whoever changes anything of the
        # rule meanwhile changes the question.
        monitor = named(clean(rule.monitor_id, 256))
        which = f"{rule.id}, version {rule.etag}, {condition}"
        return Elicit(f"Delete the alert rule {title!r} ({which}) on {monitor}?", Consent)
    if not arguments.confirm_title:
        raise BridgeError(
            f"confirm_title: this client can't ask its user. Ask whether {title!r} ({rule.id}, {condition}) shall be "
            f"deleted, then repeat the call with confirm_title={title!r}."
        )
    return Consent(delete=True)


async def delete_alert_rule(
    arguments: DeleteArguments,
    context: ToolContext,
    rule: FoundRule,
    consent: Annotated[ElicitationResult[Consent], Resolve(ask)],
) -> Annotated[CallToolResult, DeletedRule]:
    """Deletes the rule that the user agreed to."""
    caller, now = caller_of(context), now_nanos()
    if not isinstance(consent, AcceptedElicitation) or not consent.data.delete:
        kept = DeletedRule(
            deleted=False, rule=rule_detail(rule, now), note="The user didn't agree; the rule is as it was."
        )
        return answer(kept, render.deleted, now)
    # The etag makes sure that what goes is what was asked about.
    request = pb.DeleteRuleRequest(rule_id=rule.id, etag=rule.etag, request_id=uuid4().hex)
    response = await caller.write(caller.stub.DeleteRule, request)
    output = DeletedRule(
        deleted=True,
        rule=rule_detail(response.rule, now),
        resolved_alerts=response.resolved_alert_count or None,
        restore=restore_arguments(response.rule),
        note=_lost_note(response.rule),
    )
    return answer(output, render.deleted, now)


def _lost_note(rule: rule_pb2.Rule) -> str | None:
    lost = lost_on_restore(rule)
    return f"What create_alert_rule can't set again: {', '.join(lost)}." if lost else None


def tool() -> Tool:
    """The tool."""
    return make_tool(
        delete_alert_rule,
        DeleteArguments,
        title="Delete alert rule",
        description=DESCRIPTION,
        hints=Hints(destructive=True, idempotent=True),
    )
