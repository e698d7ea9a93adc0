"""Sends events to PagerDuty and judges the answers."""

from dataclasses import replace

from monitors.mesh.masking import Secret
from monitors.mesh.times import MINUTE
from monitors.notifier.channels.http import JSON, judge_failure, post
from monitors.notifier.channels.pager_duty.render import render
from monitors.notifier.channels.wording import Wording
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.targets import PagerDutyTarget

PAUSE = MINUTE
"""It takes some 120 events a minute and doesn't say when it takes more."""


async def send(target: PagerDutyTarget, content: Content, now: int, egress: Egress, wording: Wording) -> Outcome:
    """Sends the events one after another. What has arrived before one fails comes again, to the same incident."""
    outcome = Outcome(OutcomeKind.ACCEPTED, "there is nothing that PagerDuty needs to know")
    for event in render(content, target.routing_key, now, wording):
        secrets = (target.routing_key,)
        outcome = await post(egress, Secret(target.events_url), event, JSON, judge, secrets)
        if outcome.kind is not OutcomeKind.ACCEPTED:
            break
    return outcome


def judge(answer: Answer) -> Outcome:
    """202 says that the event is well-formed, and no more: it's the same for one that PagerDuty then drops."""
    if answer.status == 202:
        return Outcome(OutcomeKind.ACCEPTED, "PagerDuty has taken it; what it makes of it isn't told", answer.status)
    if answer.status == 400 and b"routing" in answer.body.lower():
        return judge_failure(answer, refused=frozenset(), broken=frozenset({400}))
    outcome = judge_failure(answer, refused=frozenset({400, 413}), broken=frozenset())
    if outcome.kind is OutcomeKind.THROTTLED:
        return replace(outcome, retry_after=max(outcome.retry_after, PAUSE))
    return outcome
