"""`monitors escalations`: who is told next of what nobody acknowledges."""

from typing import Annotated

import typer

from monitors.cli.durations import format_duration
from monitors.cli.matchers import matchers_text, read_matcher
from monitors.cli.options import AsJson, Limit, PageToken, read_duration
from monitors.cli.policies import View
from monitors.cli.policy_documents import escalation_policy_document
from monitors.mesh.times import from_duration, to_duration
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True,
    help="Who is told next of alerts that nobody acknowledges: the first policy that holds for one counts.",
)

Matchers = Annotated[
    list[str] | None,
    typer.Argument(metavar="[MATCHER]...", help="What must hold of an alert: severity=critical. None is every alert."),
]
Steps = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="DURATION:CHANNEL[,CHANNEL...]",
        help="Who is told once nobody has acknowledged it for so long: 15m:pager. Repeat it for the next steps.",
    ),
]
Position = Annotated[
    int, typer.Option("--position", min=0, help="Its place, from 1; the others make room. The last one if left out.")
]
PolicyId = Annotated[str, typer.Argument(metavar="POLICY", help="The escalation policy's name or id.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How people call it.")],
    steps: Steps,
    matchers: Matchers = None,
    position: Position = 0,
    as_json: AsJson = False,
) -> None:
    """Let others be told of alerts that nobody acknowledges, step by step. It's for alerts that fire from now on."""
    policy = notification_pb2.EscalationPolicy(
        name=name, position=position, matchers=map(read_matcher, matchers or ()), steps=map(read_step, steps or ())
    )
    VIEW.create(pb.CreateEscalationPolicyRequest(escalation_policy=policy), as_json=as_json)


@app.command("list")
def list_policies(limit: Limit = 50, page_token: PageToken = "", as_json: AsJson = False) -> None:
    """Show the escalation policies, in the order in which they're asked."""
    VIEW.list(pb.ListEscalationPoliciesRequest(page_size=limit, page_token=page_token), as_json=as_json)


@app.command()
def update(
    policy_id: PolicyId,
    matchers: Matchers = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="How people call it.")] = "",
    steps: Steps = None,
    position: Position = 0,
    as_json: AsJson = False,
) -> None:
    """Change what is given of an escalation policy: its matchers, all of its steps, its position or its name."""
    if not (matchers or name or steps or position):
        raise typer.BadParameter("say what to change: matchers, --step, --position or --name")
    policy = notification_pb2.EscalationPolicy(
        id=policy_id,
        name=name,
        position=position,
        matchers=map(read_matcher, matchers or ()),
        steps=map(read_step, steps or ()),
    )
    VIEW.update(pb.UpdateEscalationPolicyRequest(escalation_policy=policy), as_json=as_json)


@app.command()
def delete(policy_id: PolicyId, as_json: AsJson = False) -> None:
    """Delete an escalation policy. The alerts that had it escalate no further."""
    request = pb.DeleteEscalationPolicyRequest(escalation_policy_id=policy_id)
    VIEW.delete(request, f"{policy_id} is gone; the alerts that had it escalate no further.", as_json=as_json)


def read_step(text: str) -> notification_pb2.EscalationStep:
    """A step as people write it; a usage error if it's none."""
    after, colon, names = text.partition(":")
    channels = [name.strip() for name in names.split(",") if name.strip()]
    if not colon or not channels:
        raise typer.BadParameter(
            f"{text!r} is no step; write DURATION:CHANNEL, such as 15m:pager or 30m:boss-mail,pager",
            param_hint="--step",
        )
    return notification_pb2.EscalationStep(after=to_duration(read_duration(after)), channels=channels)


def _line(policy: notification_pb2.EscalationPolicy) -> str:
    return f"{policy.id}: of {matchers_text(policy.matchers, ' and ')} {_steps(policy)}"


def _row(policy: notification_pb2.EscalationPolicy) -> tuple[str, ...]:
    return policy.id, policy.name, str(policy.position), matchers_text(policy.matchers), _steps(policy)


def _steps(policy: notification_pb2.EscalationPolicy) -> str:
    steps = ((format_duration(from_duration(step.after)), ", ".join(step.channels)) for step in policy.steps)
    return "; ".join(f"{channels} after {after}" for after, channels in steps)


VIEW = View(
    "EscalationPolicy",
    "EscalationPolicies",
    escalation_policy_document,
    _line,
    ("ID", "NAME", "POSITION", "OF", "TOLD NEXT"),
    _row,
    "There is no escalation policy.",
    whole=("ID", "NAME", "POSITION"),
)
