"""What arrives in each channel, in one file that a person can read: `golden/messages.txt`.

It's written anew by `python -m tests.notifier.test_golden`, and looked at before it's committed.
"""

import json
from collections.abc import Callable, Iterator
from datetime import UTC
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from monitors.mesh.masking import Secret
from monitors.notifier.channels.apprise.render import render as render_apprise
from monitors.notifier.channels.console import several as several_lines
from monitors.notifier.channels.console.render import render as render_line
from monitors.notifier.channels.discord import several as several_discord
from monitors.notifier.channels.discord.render import render as render_discord
from monitors.notifier.channels.email import several as several_mails
from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.pager_duty.render import render as render_events
from monitors.notifier.channels.slack import several as several_slack
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.teams import several as several_teams
from monitors.notifier.channels.teams.render import render as render_teams
from monitors.notifier.channels.webhook import several as several_events
from monitors.notifier.channels.webhook.render import render as render_event
from monitors.notifier.kinds import KINDS
from monitors.notifier.model.bundle import Bundle, Content
from tests.notifier.samples import NOW, TOLD

GOLDEN = Path(__file__).parent / "golden" / "messages.txt"
SENDER, RECIPIENTS = "Monitors <alerts@example.org>", ("ann@example.org",)


def console(content: Content) -> str:
    lines = several_lines.render(content, NOW, UTC) if isinstance(content, Bundle) else [render_line(content, NOW, UTC)]
    return "\n".join(lines)


def mail(content: Content) -> str:
    if isinstance(content, Bundle):
        made = several_mails.render(content, SENDER, RECIPIENTS, NOW)
    else:
        made = render_mail(content, SENDER, RECIPIENTS, NOW)
    headers = [f"{name}: {value}" for name, value in made.items() if name not in ("MIME-Version", "Content-Type")]
    parts = [part.get_content().rstrip() for part in made.iter_parts() if isinstance(part, EmailMessage)]
    return "\n".join(headers) + "\n\n" + "\n\n".join(parts)


def card(content: Content) -> str:
    """What people see of it, a line each, and the rest as it is."""
    body = several_teams.render(content) if isinstance(content, Bundle) else render_teams(content, NOW)
    envelope = json.loads(body)
    blocks = envelope["attachments"][0]["content"].pop("body")
    lines = ["".join(run["text"] for run in block["inlines"]) for block in blocks]
    return "\n".join([*lines, json.dumps(envelope, ensure_ascii=False)])


def events(content: Content) -> str:
    return "\n".join(_indented(event) for event in render_events(content, Secret("0" * 32), NOW))


def apprise(content: Content) -> str:
    return "\n".join(render_apprise(content, NOW))


def posted(one: Callable[[Any], bytes], many: Callable[[Bundle], bytes]) -> Callable[[Content], str]:
    return lambda content: _indented(many(content) if isinstance(content, Bundle) else one(content))


def _indented(body: bytes) -> str:
    return json.dumps(json.loads(body), indent=1, ensure_ascii=False)


RENDERED: dict[str, Callable[[Content], str]] = {
    "console": console,
    "email": mail,
    "slack": posted(lambda message: render_slack(message, NOW), several_slack.render),
    "discord": posted(lambda message: render_discord(message, NOW), several_discord.render),
    "teams": card,
    "pager_duty": events,
    "webhook": posted(render_event, several_events.render),
    "apprise": apprise,
}


def everything() -> Iterator[str]:
    for kind, render in RENDERED.items():
        for told, content in TOLD.items():
            yield f"======== {kind}: {told}\n{render(content)}\n"


def test_every_kind_of_channel_says_what_the_golden_file_says() -> None:
    assert set(RENDERED) == set(KINDS)
    assert "\n".join(everything()) == GOLDEN.read_text()


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text("\n".join(everything()))
