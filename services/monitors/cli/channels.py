"""`monitors channels`: where people are told."""

import base64
import secrets
from collections.abc import Mapping
from typing import Annotated

import typer

from monitors.cli import documents, grouping, wording
from monitors.cli.choices import word_of
from monitors.cli.client import Mesh, connected, new_request_id
from monitors.cli.failures import ExitCode
from monitors.cli.options import AsJson, Yes, confirm, read_duration
from monitors.cli.output import print_json, print_table, say, tell, warn
from monitors.cli.verifying import Name, state_of, verify
from monitors.mesh.times import from_timestamp, to_duration
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, DeliveryAttempt, DeliveryOutcome, Grouping
from monitors.v1.rule_service_pb2 import CreateChannelLinkRequest

app = typer.Typer(no_args_is_help=True, help="Where people are told.")

PAGE_SIZE = 1000
CREDENTIALS = {
    "slack": "webhook_url",
    "discord": "webhook_url",
    "teams": "workflow_url",
    "pager_duty": "routing_key",
    "apprise": "url",
}
"""The field of each kind that has one secret."""
ARRIVED = (DeliveryOutcome.DELIVERY_OUTCOME_OK, DeliveryOutcome.DELIVERY_OUTCOME_ACCEPTED)


@app.command("list")
def list_channels(as_json: AsJson = False) -> None:
    """Show the channels. What is secret is never shown again."""
    with connected() as mesh:
        channels = _all_channels(mesh)
    if as_json:
        print_json({"channels": [documents.channel_document(channel) for channel in channels]})
    elif not channels:
        tell("No channel yet: make one with `monitors channels create`.")
    else:
        rows = [channel_row(channel) for channel in channels]
        print_table(("NAME", "ID", "KIND", "TELLS", "TOGETHER", "DEFAULT", "STATE"), rows, whole=("ID", "KIND"))


def _all_channels(mesh: Mesh) -> list[Channel]:
    channels: list[Channel] = []
    request = pb.ListChannelsRequest(page_size=PAGE_SIZE)
    while True:
        response = mesh.call(mesh.notifier.ListChannels, request)
        channels += response.channels
        if not response.next_page_token:
            return channels
        request.page_token = response.next_page_token


def channel_row(channel: Channel) -> tuple[str, ...]:
    """A line for one channel."""
    kind = channel.WhichOneof("kind") or ""
    default = "default" if channel.is_default else ""
    together = grouping.words(channel.grouping)
    return channel.name, channel.id, kind, target_of(channel), together, default, state_of(channel)


def target_of(channel: Channel) -> str:
    """Whom or what a channel tells, as far as that isn't secret."""
    match channel.WhichOneof("kind"):
        case "console":
            return "the notifier's terminal"
        case "webhook":
            return channel.webhook.url
        case "email":
            return ", ".join(channel.email.addresses)
        case None:
            return ""
        case "apprise":
            return f"{channel.apprise.service} …{channel.apprise.fingerprint}"
        case kind:
            return f"…{getattr(channel, kind).fingerprint}"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How rules name it.")],
    webhook: Annotated[str | None, typer.Option("--webhook", metavar="URL", help="Post signed JSON there.")] = None,
    secret: Annotated[str, typer.Option("--secret", help="The webhook's secret, whsec_…; made if left out.")] = "",
    email: Annotated[
        list[str] | None, typer.Option("--email", metavar="ADDRESS", help="Send e-mail there; repeatable.")
    ] = None,
    slack: Annotated[str | None, typer.Option("--slack", metavar="URL", help="Post to this incoming webhook.")] = None,
    discord: Annotated[str | None, typer.Option("--discord", metavar="URL", help="Post to this webhook.")] = None,
    teams: Annotated[str | None, typer.Option("--teams", metavar="URL", help="Post to this workflow.")] = None,
    pager_duty: Annotated[
        str | None, typer.Option("--pagerduty", metavar="KEY", help="Open incidents with this integration key.")
    ] = None,
    events_url: Annotated[
        str, typer.Option("--events-url", metavar="URL", help="Where PagerDuty takes events, if not in the US.")
    ] = "",
    apprise: Annotated[
        str | None, typer.Option("--apprise", metavar="URL", help="Reach another service by this URL of Apprise.")
    ] = None,
    console: Annotated[bool, typer.Option("--console", help="Print on the notifier's terminal.")] = False,
    default: Annotated[bool, typer.Option("--default", help="Tell it of rules that name no channel.")] = False,
    send_resolved: Annotated[
        bool | None, typer.Option("--resolved/--no-resolved", help="Also tell that an alert is over, or don't.")
    ] = None,
    heartbeat: Annotated[
        int | None,
        typer.Option(
            "--heartbeat",
            parser=read_duration,
            metavar="DURATION",
            help="Tell it this often that the mesh is alive, such as 1m; its silence is the alarm.",
        ),
    ] = None,
    group_by: grouping.By = None,
    group_label: grouping.Labels = None,
    group_wait: grouping.Wait = None,
    group_interval: grouping.Interval = None,
    hold_urgent: grouping.HoldUrgent = None,
    digest_above: grouping.DigestAbove = None,
    title_template: wording.Title = None,
    body_template: wording.Body = None,
    as_json: AsJson = False,
) -> None:
    """Make a channel of one kind. Nothing is sent but a code to each new e-mail address, which `monitors channels
    verify` takes; try the channel with `monitors channels test`."""
    given = {
        "webhook": webhook,
        "email": email,
        "slack": slack,
        "discord": discord,
        "teams": teams,
        "pager_duty": pager_duty,
        "apprise": apprise,
        "console": console,
    }
    kind = _only_one(given)
    if secret and not webhook:
        raise typer.BadParameter("only a webhook has a secret", param_hint="--secret")
    if events_url and not pager_duty:
        raise typer.BadParameter("only PagerDuty has one", param_hint="--events-url")
    channel = Channel(name=name, is_default=default, send_resolved=send_resolved)
    if heartbeat:
        channel.heartbeat_interval.CopyFrom(to_duration(heartbeat))
    told = Grouping()
    if grouping.change(told, group_by, group_label, group_wait, group_interval, hold_urgent, digest_above):
        channel.grouping.CopyFrom(told)
    wording.change(channel, title_template, body_template)
    if webhook:
        channel.webhook.url = webhook
        channel.webhook.secret = secret
    elif email:
        channel.email.addresses[:] = email
    elif kind in CREDENTIALS:
        setattr(getattr(channel, kind), CREDENTIALS[kind], given[kind])
    else:
        channel.console.SetInParent()
    if events_url:
        channel.pager_duty.events_url = events_url
    with connected() as mesh:
        request = pb.CreateChannelRequest(channel=channel, request_id=new_request_id())
        response = mesh.call(mesh.notifier.CreateChannel, request)
    warn(response.warnings)
    if as_json:
        document = documents.channel_document(response.channel)
        warnings = list(response.warnings)
        print_json({"channel": document, "webhook_secret": response.webhook_secret, "warnings": warnings})
        return
    say(f"Made the channel {response.channel.name} ({response.channel.id}), which tells {target_of(response.channel)}")
    if response.webhook_secret:
        say(f"Secret: {response.webhook_secret}")
        tell("The receiver checks signatures with this secret. It's shown this once.")


def _only_one(given: Mapping[str, object]) -> str:
    """The kind that was given. Raises BadParameter if it isn't one."""
    kinds = [kind for kind, value in given.items() if value]
    if len(kinds) != 1:
        options = ", ".join(f"--{kind.replace('_', '')}" for kind in given)
        raise typer.BadParameter(f"give exactly one of {options}")
    return kinds[0]


@app.command()
def update(
    name: Name,
    email: Annotated[
        list[str] | None, typer.Option("--email", metavar="ADDRESS", help="Send e-mail there alone; repeatable.")
    ] = None,
    default: Annotated[
        bool | None, typer.Option("--default/--no-default", help="Tell it of rules that name no channel, or don't.")
    ] = None,
    send_resolved: Annotated[
        bool | None, typer.Option("--resolved/--no-resolved", help="Also tell that an alert is over, or don't.")
    ] = None,
    group_by: grouping.By = None,
    group_label: grouping.Labels = None,
    group_wait: grouping.Wait = None,
    group_interval: grouping.Interval = None,
    hold_urgent: grouping.HoldUrgent = None,
    digest_above: grouping.DigestAbove = None,
    title_template: wording.Title = None,
    body_template: wording.Body = None,
    as_json: AsJson = False,
) -> None:
    """Change what a channel is told, what it tells together and how. What isn't named stays."""
    with connected() as mesh:
        channel = mesh.call(mesh.notifier.GetChannel, pb.GetChannelRequest(channel_id=name)).channel
        request = pb.UpdateChannelRequest(channel=Channel(id=channel.id, etag=channel.etag))
        if email:
            request.channel.email.addresses[:] = email
            request.update_mask.paths.append("email.addresses")
        if default is not None:
            request.channel.is_default = default
            request.update_mask.paths.append("is_default")
        if send_resolved is not None:
            request.channel.send_resolved = send_resolved
            request.update_mask.paths.append("send_resolved")
        told = channel.grouping
        if grouping.change(told, group_by, group_label, group_wait, group_interval, hold_urgent, digest_above):
            request.channel.grouping.CopyFrom(told)
            request.update_mask.paths.append("grouping")
        request.update_mask.paths.extend(wording.change(request.channel, title_template, body_template))
        if not request.update_mask.paths:
            raise typer.BadParameter("name what to change, such as --group-by monitor")
        request.request_id = new_request_id()
        response = mesh.call(mesh.notifier.UpdateChannel, request)
        channel = response.channel
    warn(response.warnings)
    if as_json:
        print_json({"channel": documents.channel_document(channel), "warnings": list(response.warnings)})
    else:
        say(f"Changed the channel {channel.name}, which tells together: {grouping.words(channel.grouping)}")


@app.command()
def rotate(
    name: Name,
    secret: Annotated[str, typer.Option("--secret", help="A webhook's new secret, whsec_…; made if left out.")] = "",
    to: Annotated[
        str, typer.Option("--to", metavar="VALUE", help="The new URL or key of a channel that isn't a webhook.")
    ] = "",
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep-former",
            parser=read_duration,
            metavar="DURATION",
            help="For how long to sign with the former secret, too, such as 24h (as usual) or 0s.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Give a channel a new secret: a webhook another signing secret, others the URL or key that is in --to.

    For a day a webhook's messages have two signatures, so that no receiver misses any.
    """
    made = "" if to else secret or f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
    with connected() as mesh:
        channel = mesh.call(mesh.notifier.GetChannel, pb.GetChannelRequest(channel_id=name)).channel
        kind = channel.WhichOneof("kind") or ""
        request = pb.UpdateChannelRequest(channel=Channel(id=channel.id, etag=channel.etag))
        if kind in CREDENTIALS and to:
            setattr(getattr(request.channel, kind), CREDENTIALS[kind], to)
            request.update_mask.paths.append(f"{kind}.{CREDENTIALS[kind]}")
        elif kind == "webhook" and not to:
            request.channel.webhook.secret = made
            request.update_mask.paths.append("webhook.secret")
            if keep is not None:
                request.channel.webhook.keep_former_secret.CopyFrom(to_duration(keep))
        else:
            hint = "a webhook has a --secret" if to else "say what it is by --to" if kind in CREDENTIALS else "none"
            raise typer.BadParameter(f"{name} has no such secret: {hint}")
        request.request_id = new_request_id()
        channel = mesh.call(mesh.notifier.UpdateChannel, request).channel
    own = "" if secret else made
    if as_json:
        print_json({"channel": documents.channel_document(channel), "webhook_secret": own})
        return
    end = documents.time_text(channel.webhook, "former_secret_expire_time")
    say(f"Changed the secret of {channel.name}" + (f"; the former one is used besides until {end}" if end else ""))
    if own:
        say(f"Secret: {own}")
        tell("Give it to the receivers. It's shown this once.")


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a channel."""
    with connected() as mesh:
        channel = mesh.call(mesh.notifier.GetChannel, pb.GetChannelRequest(channel_id=name)).channel
    if as_json:
        print_json({"channel": documents.channel_document(channel)})
        return
    facts = {
        "Channel": f"{channel.name} ({channel.id})",
        "Kind": channel.WhichOneof("kind") or "",
        "Tells": target_of(channel),
        "Together": grouping.words(channel.grouping),
        "Default": "yes" if channel.is_default else "no",
        "Ends": "told" if channel.send_resolved else "not told",
        "State": state_of(channel),
    }
    for label, fact in facts.items():
        say(f"{label + ':':<10}{fact}")
    for label, template in (("Title", channel.title_template), ("Text", channel.body_template)):
        if template:
            say(f"{label + ':':<10}{template}")


@app.command()
def link(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What the page proposes as the channel's name.")] = "",
    as_json: AsJson = False,
) -> None:
    """Print a link to a page on which somebody adds one channel, so that no secret goes through a chat or a shell."""
    with connected() as mesh:
        response = mesh.call(mesh.rules.CreateChannelLink, CreateChannelLinkRequest(channel_name=name))
    end = documents.time_text(response, "expire_time")
    if as_json:
        print_json({"url": response.url, "expire_time": end})
        return
    say(response.url)
    tell(f"It adds one channel, until {end}. Whoever has it can use it.")


app.command("verify")(verify)


@app.command("test")
def send_test(name: Name, as_json: AsJson = False) -> None:
    """Send a test message now and say how it went; exit code 1 if it didn't arrive."""
    with connected() as mesh:
        attempt = mesh.call(mesh.notifier.TestChannel, pb.TestChannelRequest(channel_id=name)).attempt
    if as_json:
        print_json({"attempt": documents.attempt_document(attempt)})
    else:
        say(outcome_line(name, attempt))
    if attempt.outcome not in ARRIVED:
        raise typer.Exit(ExitCode.FAILED)


def outcome_line(name: str, attempt: DeliveryAttempt) -> str:
    """How an attempt went: outcome, code, how long it took, and why."""
    took = (from_timestamp(attempt.end_time) - from_timestamp(attempt.start_time)) // 1_000_000
    status = f" (status {attempt.status})" if attempt.status else ""
    line = f"{name}: {word_of(DeliveryOutcome, attempt.outcome)}{status} after {took} ms"
    return f"{line}: {attempt.detail}" if attempt.detail else line


@app.command()
def delete(
    name: Name,
    etag: Annotated[str, typer.Option("--etag", help="Refuse if it isn't as it was when this was read.")] = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Delete a channel. Messages that wait for it are suppressed."""
    with connected() as mesh:
        if not yes:
            channel = mesh.call(mesh.notifier.GetChannel, pb.GetChannelRequest(channel_id=name)).channel
            confirm(f"Delete the channel {channel.name}, which tells {target_of(channel)}?", yes=yes)
        request = pb.DeleteChannelRequest(channel_id=name, etag=etag, request_id=new_request_id())
        channel = mesh.call(mesh.notifier.DeleteChannel, request).channel
    if as_json:
        print_json({"channel": documents.channel_document(channel)})
    else:
        say(f"Deleted the channel {channel.name or name}")
