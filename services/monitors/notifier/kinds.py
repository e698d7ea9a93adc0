"""The kinds of channels that are built: how each is read and checked, and what a person enters for it.

`CreateChannel` reads a channel by this table, and the page on which people add one has its inputs from it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from monitors.mesh.errors import InvalidField
from monitors.notifier.model.checks import (
    Policy,
    check_apprise,
    check_discord,
    check_email,
    check_pager_duty,
    check_slack,
    check_teams,
    check_webhook,
)
from monitors.notifier.model.targets import PAGER_DUTY_URL, ConsoleTarget, PagerDutyTarget, Target, WebhookTarget
from monitors.v1 import notification_pb2 as pb


@dataclass(frozen=True)
class Input:
    """A field of a kind's message, as a person enters it. What is secret is never shown again."""

    field: str
    label: str
    hint: str
    type: str = "text"
    """Of the HTML input; `textarea` takes several values, separated by white space, commas or semicolons."""
    is_secret: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of channel. `read` makes the target of its message, or changes one; it raises InvalidField."""

    title: str
    summary: str
    inputs: tuple[Input, ...]
    read: Callable[[Any, Policy, Target | None], Target]
    missing: Callable[[Policy], str] = lambda _: ""
    """Why none can be made here; empty if one can."""


def _read_webhook(webhook: pb.WebhookChannel, policy: Policy, current: Target | None) -> WebhookTarget:
    if isinstance(current, WebhookTarget):
        return check_webhook(webhook.url or current.url.reveal(), webhook.secret or current.secret.reveal(), policy)
    if current is not None and not webhook.secret:
        raise InvalidField(
            "channel.webhook.secret",
            "empty, and there is none to keep; send one (`whsec_` and the base64 of 24 to 64 bytes), "
            "or make a new channel, which shows you the one that it makes",
        )
    return check_webhook(webhook.url, webhook.secret, policy)


def _read_pager_duty(sent: pb.PagerDutyChannel, policy: Policy, current: Target | None) -> PagerDutyTarget:
    known = current if isinstance(current, PagerDutyTarget) else None
    key = sent.routing_key or (known.routing_key.reveal() if known else "")
    return check_pager_duty(key, sent.events_url or (known.events_url if known else ""), policy)


KINDS: Mapping[str, Kind] = {
    "slack": Kind(
        title="Slack",
        summary="Posts into a Slack channel.",
        inputs=(
            Input(
                "webhook_url",
                "Webhook URL",
                "Begins with https://hooks.slack.com/. Slack shows it under api.slack.com/apps, your app, "
                "Incoming Webhooks.",
                type="url",
                is_secret=True,
            ),
        ),
        read=lambda slack, policy, _: check_slack(slack.webhook_url, policy),
    ),
    "discord": Kind(
        title="Discord",
        summary="Posts into a Discord channel.",
        inputs=(
            Input(
                "webhook_url",
                "Webhook URL",
                "Begins with https://discord.com/api/webhooks/. Discord shows it in the channel's settings, "
                "Integrations, Webhooks.",
                type="url",
                is_secret=True,
            ),
        ),
        read=lambda discord, policy, _: check_discord(discord.webhook_url, policy),
    ),
    "teams": Kind(
        title="Microsoft Teams",
        summary="Posts into a channel or chat of Teams.",
        inputs=(
            Input(
                "workflow_url",
                "Workflow URL",
                "Teams shows it when you choose Workflows in the channel's menu, and there Send webhook alerts to a "
                "channel.",
                type="url",
                is_secret=True,
            ),
        ),
        read=lambda teams, policy, _: check_teams(teams.workflow_url, policy),
    ),
    "email": Kind(
        title="E-mail",
        summary="Writes to one or several mailboxes.",
        inputs=(Input("addresses", "Addresses", "One on each line, at most 20.", type="textarea"),),
        read=lambda email, policy, _: check_email(tuple(email.addresses), policy),
        missing=lambda policy: (
            "" if policy.has_mail_server else "Not here: the operator sets SMTP_HOST or SENDGRID_API_KEY first."
        ),
    ),
    "pager_duty": Kind(
        title="PagerDuty",
        summary="Opens, acknowledges and resolves incidents.",
        inputs=(
            Input(
                "routing_key",
                "Integration key",
                "32 letters and digits. In PagerDuty: your service, Integrations, Add an integration, Events API V2.",
                type="password",
                is_secret=True,
            ),
            Input(
                "events_url",
                "Events URL",
                f"Optional: {PAGER_DUTY_URL}, or https://events.eu.pagerduty.com/v2/enqueue in the EU.",
                type="url",
            ),
        ),
        read=_read_pager_duty,
    ),
    "apprise": Kind(
        title="Another service",
        summary="Telegram, ntfy, Matrix, Opsgenie and others, by Apprise.",
        inputs=(
            Input(
                "url",
                "Apprise URL",
                "Such as tgram://token/chat or ntfys://topic; Apprise's pages tell what a service's URL is made of.",
                type="password",
                is_secret=True,
            ),
        ),
        read=lambda apprise, policy, _: check_apprise(apprise.url, policy),
    ),
    "webhook": Kind(
        title="Webhook",
        summary="Posts signed JSON to a URL of yours.",
        inputs=(
            # A path may hold a token just as a query may, so all of it is taken for secret here.
            Input("url", "URL", "Where to post, such as https://example.org/hooks/alerts.", type="url", is_secret=True),
            Input(
                "secret",
                "Signing secret",
                "Optional: whsec_ and the base64 of 24 to 64 bytes. If you leave it empty, one is made and shown "
                "to you once.",
                type="password",
                is_secret=True,
            ),
        ),
        read=_read_webhook,
    ),
    "console": Kind(
        title="Terminal",
        summary="Prints on the terminal on which the notifier runs.",
        inputs=(),
        read=lambda _, __, ___: ConsoleTarget(),
    ),
}
