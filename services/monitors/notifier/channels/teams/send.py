"""Posts a message to a workflow of Microsoft Teams and judges the answer."""

from dataclasses import replace

from monitors.notifier.channels.http import JSON, judge_failure, post
from monitors.notifier.channels.teams import several
from monitors.notifier.channels.teams.render import render
from monitors.notifier.channels.wording import Wording
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.picture import Picture
from monitors.notifier.model.targets import TeamsTarget


async def send(
    target: TeamsTarget, content: Content, now: int, egress: Egress, picture: Picture | None, wording: Wording
) -> Outcome:
    """Posts the message."""
    body = several.render(content, wording) if isinstance(content, Bundle) else render(content, now, picture, wording)
    return await post(egress, target.url, body, JSON, judge)


def judge(answer: Answer) -> Outcome:
    """202 says that the flow has started: what goes wrong in it later, such as a message too large, isn't told."""
    body = answer.body.lower()
    if answer.status == 202 or (200 <= answer.status < 300 and not (b"error" in body or b"<html" in body)):
        return Outcome(OutcomeKind.ACCEPTED, "the workflow has started; whether it posts isn't told", answer.status)
    if answer.status == 400 and b"notenabled" in body:
        return judge_failure(answer, refused=frozenset(), broken=frozenset({400}))
    outcome = judge_failure(answer, refused=frozenset({400, 413}), broken=frozenset({401, 403, 404, 410}))
    # Its forerunner told that there were too many by a 200.
    return replace(outcome, kind=OutcomeKind.THROTTLED) if answer.status < 300 and b"429" in body else outcome
