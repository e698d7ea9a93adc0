"""Posts a message to Slack and judges the answer."""

from monitors.notifier.channels.http import JSON, judge_failure, post
from monitors.notifier.channels.slack import several
from monitors.notifier.channels.slack.render import render
from monitors.notifier.channels.wording import Wording
from monitors.notifier.egress import Answer, Egress
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.targets import SlackTarget

REFUSED = frozenset({400, 413})
TOO_LARGE = (b"invalid_blocks",)
"""Besides `msg_too_long` and `msg_blocks_too_long`: what it says of a block that is larger than it likes, too."""


async def send(target: SlackTarget, content: Content, now: int, egress: Egress, wording: Wording) -> Outcome:
    """Posts the message."""
    body = several.render(content, wording) if isinstance(content, Bundle) else render(content, now, wording)
    return await post(egress, target.url, body, JSON, judge)


def judge(answer: Answer) -> Outcome:
    """Success is a 200 whose body is `ok`: a proxy's own page comes with a 200, too."""
    if answer.status == 200 and answer.body.strip() == b"ok":
        return Outcome(OutcomeKind.OK, "Slack has posted it", answer.status)
    return judge_failure(answer, refused=REFUSED, broken=frozenset({403, 404, 410}), too_large=TOO_LARGE)
