"""What makes a channel's target valid: each kind has a check that makes it of what a person entered."""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, urlsplit

from monitors.mesh.addresses import is_local_name, may_name
from monitors.mesh.errors import InvalidField
from monitors.mesh.masking import Secret
from monitors.mesh.times import DAY, SECOND
from monitors.notifier.model.services import NATIVE, SERVICES, forbidden_parameters, is_plain, scheme_of
from monitors.notifier.model.targets import (
    PAGER_DUTY_URL,
    WEBHOOK_SECRET_PREFIX,
    AppriseTarget,
    DiscordTarget,
    EmailTarget,
    PagerDutyTarget,
    SlackTarget,
    TeamsTarget,
    WebhookTarget,
)

MAX_URL = 2048
MAX_ADDRESSES = 20
USUALLY_KEPT = DAY
LONGEST_KEPT = 30 * DAY
SLACK_HOST = "hooks.slack.com"
DISCORD_HOSTS = ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com")
# What follows the token asks for the form of another service's messages.
DISCORD_PATH = re.compile(r"/api/(?:v\d+/)?webhooks/\d+/[\w-]+/?")
TEAMS_HOSTS = (".logic.azure.com", ".environment.api.powerplatform.com")
TEAMS_RETIRED = ("webhook.office.com", "outlook.office.com", "outlook.office365.com")
PAGER_DUTY_HOSTS = ("events.pagerduty.com", "events.eu.pagerduty.com")
PAGER_DUTY_KEY = re.compile(r"[A-Za-z0-9]{32}")
# The syntax that HTML's e-mail inputs accept: what real mail servers take, and nothing that could break a header.
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"[A-Za-z0-9.!#$%&'*+/=?^_`{{|}}~-]{{1,64}}@{_LABEL}(?:\.{_LABEL})*")


@dataclass(frozen=True)
class Policy:
    """What the operator allows: plain http and targets on this machine or network, and whether mail can be sent."""

    allow_local_targets: bool
    has_mail_server: bool


def check_webhook(url: str, secret: str, policy: Policy) -> WebhookTarget:
    """A webhook target; makes a secret if there is none. Raises InvalidField."""
    check_url("channel.webhook.url", url, policy)
    return WebhookTarget(Secret(url), check_webhook_secret(secret) if secret else new_webhook_secret())


def check_webhook_secret(secret: str) -> Secret:
    """The secret if Standard Webhooks allows it. Raises InvalidField, which doesn't repeat it."""
    fix = "send `whsec_` followed by the base64 of 24 to 64 bytes, or leave it empty and one is made"
    if not secret.startswith(WEBHOOK_SECRET_PREFIX):
        raise InvalidField("channel.webhook.secret", f"it doesn't begin with `whsec_`; {fix}")
    try:
        size = len(base64.b64decode(secret.removeprefix(WEBHOOK_SECRET_PREFIX), validate=True))
    except (binascii.Error, ValueError):
        raise InvalidField("channel.webhook.secret", f"what follows `whsec_` isn't base64; {fix}") from None
    if not 24 <= size <= 64:
        raise InvalidField("channel.webhook.secret", f"it has {size} bytes; {fix}")
    return Secret(secret)


def keep_former(target: WebhookTarget, current: WebhookTarget, keep: int | None, now: int) -> WebhookTarget:
    """The changed target, which also signs with the former secret for `keep` nanoseconds from `now`, a day if None.
    Raises InvalidField."""
    if keep is not None and not 0 <= keep <= LONGEST_KEPT:
        raise InvalidField("channel.webhook.keep_former_secret", f"{keep // SECOND} s; send 0s to 30 days, such as 24h")
    if target.secret == current.secret:
        former, until = current.former_secret, current.former_until if keep is None else now + keep
    else:
        former, until = current.secret, now + (USUALLY_KEPT if keep is None else keep)
    return replace(target, former_secret=former, former_until=until) if former and until > now else target


def new_webhook_secret() -> Secret:
    """A secret of 32 random bytes."""
    return Secret(WEBHOOK_SECRET_PREFIX + base64.b64encode(secrets.token_bytes(32)).decode())


def check_slack(url: str, policy: Policy) -> SlackTarget:
    """A Slack target. Raises InvalidField, which doesn't repeat the URL, as all of it is secret."""
    field = "channel.slack.webhook_url"
    parts = _split(field, url)
    if not _is_own(parts, policy) and not (parts.scheme == "https" and parts.hostname == SLACK_HOST and parts.path):
        raise InvalidField(
            field,
            f"not the URL of a Slack incoming webhook; it begins with `https://{SLACK_HOST}/` "
            "(api.slack.com/apps, your app, Incoming Webhooks, Add New Webhook)",
        )
    return SlackTarget(Secret(url))


def check_discord(url: str, policy: Policy) -> DiscordTarget:
    """A Discord target. Raises InvalidField, which doesn't repeat the URL, as all of it is secret."""
    field = "channel.discord.webhook_url"
    parts = _split(field, url)
    known = parts.scheme == "https" and parts.hostname in DISCORD_HOSTS and DISCORD_PATH.fullmatch(parts.path)
    if not _is_own(parts, policy) and not known:
        raise InvalidField(
            field,
            "not the URL of a Discord webhook; it is `https://discord.com/api/webhooks/` with a number and a token and "
            "nothing behind them (the channel's settings, Integrations, Webhooks, New Webhook, Copy Webhook URL)",
        )
    return DiscordTarget(Secret(url))


def check_teams(url: str, policy: Policy) -> TeamsTarget:
    """A Teams target. Raises InvalidField, which doesn't repeat the URL, as all of it is secret."""
    field = "channel.teams.workflow_url"
    parts = _split(field, url)
    host = parts.hostname or ""
    how = (
        "in Teams: the channel's menu, Workflows, `Send webhook alerts to a channel`, and send the URL that it shows, "
        "whose host ends in `.logic.azure.com` or `.environment.api.powerplatform.com`"
    )
    if host.endswith(".webhook.office.com") or host in TEAMS_RETIRED:
        raise InvalidField(field, f"the URL of an Office 365 connector, which Microsoft has turned off; {how}")
    if not _is_own(parts, policy) and not (parts.scheme == "https" and host.endswith(TEAMS_HOSTS)):
        raise InvalidField(field, f"not the URL of a workflow; {how}")
    return TeamsTarget(Secret(url))


def _is_own(parts: SplitResult, policy: Policy) -> bool:
    """Whether it's on this machine, and may be."""
    return policy.allow_local_targets and is_local_name(parts.hostname or "")


def check_pager_duty(routing_key: str, events_url: str, policy: Policy) -> PagerDutyTarget:
    """A PagerDuty target; in the US if there is no URL. Raises InvalidField, which never repeats the key."""
    if not PAGER_DUTY_KEY.fullmatch(routing_key):
        raise InvalidField(
            "channel.pager_duty.routing_key",
            f"{len(routing_key)} characters; send the 32 letters and digits of an integration key (PagerDuty: your "
            "service, Integrations, Add an integration, Events API V2)",
        )
    field, url = "channel.pager_duty.events_url", events_url or PAGER_DUTY_URL
    parts = _split(field, url)
    if not _is_own(parts, policy) and (parts.scheme != "https" or parts.hostname not in PAGER_DUTY_HOSTS):
        raise InvalidField(
            field,
            f"{shorten(parts.hostname or '')!r} isn't PagerDuty; leave it out, or send `https://{PAGER_DUTY_HOSTS[1]}"
            "/v2/enqueue` if the account is in the EU",
        )
    return PagerDutyTarget(Secret(routing_key), url)


def check_apprise(url: str, policy: Policy) -> AppriseTarget:
    """An Apprise target. Raises InvalidField, which doesn't repeat the URL, as all of it is secret."""
    field, scheme = "channel.apprise.url", scheme_of(url)
    if not scheme or not url.isprintable() or " " in url or len(url) > MAX_URL:
        raise InvalidField(
            field, f"not an Apprise URL of at most {MAX_URL:,} characters; send one such as `tgram://token/chat`"
        )
    if scheme in NATIVE:
        raise InvalidField(field, f"there is a kind of channel for this: make one of the kind {NATIVE[scheme]}")
    if scheme not in SERVICES:
        raise InvalidField(
            field, f"`{scheme}://` is none of the services that are reached; docs/channels.md lists them"
        )
    if is_plain(scheme) and not policy.allow_local_targets:
        raise InvalidField(field, f"`{scheme}://` goes without TLS; send `{scheme}s://`")
    if forbidden := forbidden_parameters(url):
        raise InvalidField(field, f"it has the parameters {', '.join(forbidden)}, which are fixed here; take them out")
    return AppriseTarget(Secret(url))


def check_email(addresses: tuple[str, ...], policy: Policy) -> EmailTarget:
    """An e-mail target, each address once. Raises InvalidField."""
    field = "channel.email.addresses"
    if not policy.has_mail_server:
        raise InvalidField(
            field,
            "the notifier has no mail server; the operator sets SMTP_HOST (and SMTP_PORT, SMTP_USERNAME, "
            "SMTP_PASSWORD, SMTP_SECURITY, SMTP_FROM), or SENDGRID_API_KEY and SENDGRID_FROM, and starts it again",
        )
    unique = tuple(dict.fromkeys(addresses))
    if not 1 <= len(unique) <= MAX_ADDRESSES:
        raise InvalidField(field, f"{len(unique)} addresses; send 1 to {MAX_ADDRESSES}")
    for address in unique:
        if len(address) > 254 or not EMAIL.fullmatch(address):
            raise InvalidField(
                field,
                f"{shorten(address)!r} isn't an e-mail address; send one such as `ann@example.org`",
            )
    return EmailTarget(unique)


def check_url(field: str, url: str, policy: Policy) -> None:
    """Raises InvalidField unless the notifier may post to `url`. Names are looked up and checked at each sending."""
    parts = _split(field, url)
    schemes = ("https", "http") if policy.allow_local_targets else ("https",)
    if parts.scheme not in schemes:
        raise InvalidField(
            field,
            f"{shorten(parts.scheme)!r} isn't a scheme that is allowed here; send a URL that begins with "
            f"{' or '.join(f'`{scheme}://`' for scheme in schemes)}",
        )
    host = parts.hostname or ""
    if not may_name(host, policy.allow_local_targets):
        raise InvalidField(
            field,
            f"{shorten(host)!r} is a name or address inside of a network, or an unusual spelling of one; "
            "send the URL of an endpoint on the internet",
        )


def shorten(text: str, limit: int = 80) -> str:
    """At most `limit` characters of a text, for error messages."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _split(field: str, url: str) -> SplitResult:
    if len(url) > MAX_URL:
        raise InvalidField(field, f"{len(url)} characters; send at most {MAX_URL:,}")
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:
        complete = False
    if not complete or not url.isprintable() or " " in url:
        raise InvalidField(field, "not a complete URL; send one such as `https://example.org/hooks/alerts`")
    if "@" in parts.netloc:
        raise InvalidField(field, "it holds a user name or password; send a URL without")
    return parts
