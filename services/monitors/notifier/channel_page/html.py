"""How the page looks. Everything that comes from outside is escaped, and nothing secret is ever written into it."""

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from html import escape
from importlib.resources import files

from monitors.mesh.channel_links import ChannelLink
from monitors.mesh.times import SECOND
from monitors.notifier.channel_page import grouping, templates
from monitors.notifier.channel_page.entries import (
    GENERAL,
    IS_DEFAULT,
    KIND,
    LINK,
    NAME,
    SEND_RESOLVED,
    Entries,
    input_name,
)
from monitors.notifier.kinds import KINDS, Input, Kind
from monitors.notifier.model.checks import Policy
from monitors.v1 import notifier_service_pb2 as pb

# Only the inputs of the chosen kind are shown. It takes no script, and an old browser shows them all.
_CHOICE = "".join(f"form:has(#kind-{kind}:checked) #inputs-{kind}{{display:grid}}" for kind in KINDS)
STYLE = (
    files(__package__) / "page.css"
).read_text() + f"@supports selector(:has(*)){{.inputs{{display:none}}{_CHOICE}}}"
STYLE_HASH = f"sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}"
NAME_LABEL, NAME_HINT = "Name", "How rules and Claude call it: letters, digits, dots, dashes and underscores."
AGAIN = "Enter it again: what is secret isn't kept."


def form_page(token: str, link: ChannelLink, entries: Entries, policy: Policy, problems: Mapping[str, str]) -> str:
    """The form, with what was entered before but for secrets, and each problem beside its input."""
    until = datetime.fromtimestamp(link.expire_time // SECOND, UTC)
    absent = {input_name(name, entry) for name, kind in KINDS.items() if kind.missing(policy) for entry in kind.inputs}
    problems = {GENERAL if name in absent else name: problem for name, problem in problems.items()}
    body = f"""
<h1>Add a channel</h1>
<p>What you enter here goes straight to Monitors, and not through your conversation.</p>
{_summary(problems)}
<form method="post" action="new" autocomplete="off">
<input type="hidden" name="{LINK}" value="{escape(token)}">
{_name_field(entries, problems)}
<fieldset class="kinds"{_described(problems, KIND)}>
<legend>Where messages go</legend>
{_problem(problems, KIND)}
{"".join(_choice(name, kind, entries, policy) for name, kind in KINDS.items())}
</fieldset>
{"".join(_inputs(name, kind, entries, problems) for name, kind in KINDS.items() if not kind.missing(policy))}
{_grouping(entries, problems)}
{_templates(entries, problems)}
{_box(SEND_RESOLVED, "Also tell when an alert is over", checked=entries.send_resolved)}
{_box(IS_DEFAULT, "Also tell it of rules that name no channel", checked=entries.is_default)}
<button type="submit">Add channel</button>
</form>
<footer>
<p>For the account <b>{escape(link.tenant)}</b>, asked for by <b>{escape(link.user)}</b>. This page works once, until
<time datetime="{until:%Y-%m-%dT%H:%M:%SZ}">{until:%H:%M} UTC</time>.</p>
<p>Didn't you ask for it? Then close it: what you enter is used by whoever sent you the link.</p>
</footer>"""
    return _document("Add a channel", body)


def done_page(response: pb.CreateChannelResponse) -> str:
    """That the channel was made, what to say now, and a webhook's signing secret, this once."""
    name = escape(response.channel.name)
    secret = ""
    if response.webhook_secret:
        secret = f"""
<h2>Signing secret</h2>
<p>The receiver checks signatures with it. It's shown this once: copy it now, and paste it into no conversation.</p>
<p><code class="secret">{escape(response.webhook_secret)}</code></p>"""
    warnings = "".join(f'<p class="warning">{_text(warning)}</p>' for warning in response.warnings)
    next_step = f"Nothing was sent to it yet; <code>monitors channels test {name}</code> does."
    if response.channel.email.waiting_addresses:
        next_step = "Nothing but the code was sent to it yet."
    body = f"""
<h1>The channel {name} is there</h1>
<p>Go back to your conversation and say:</p>
<blockquote>The channel {name} is there now, go on.</blockquote>
{warnings}{secret}
<footer>
<p>{next_step} You can close this page.</p>
</footer>"""
    return _document(f"The channel {response.channel.name} is there", body)


def button_page(title: str, content: str, action: str, button: str, footer: str) -> str:
    """A page with one button. The content and the action are HTML."""
    body = f"""
<h1>{escape(title)}</h1>
{content}
<form method="post" action="{action}">
<button type="submit">{escape(button)}</button>
</form>
<footer>
<p>{_text(footer)}</p>
</footer>"""
    return _document(title, body)


def notice_page(title: str, *paragraphs: str) -> str:
    """A page that only says something. The paragraphs are plain text."""
    body = f"\n<h1>{escape(title)}</h1>\n" + "".join(f"<p>{_text(paragraph)}</p>\n" for paragraph in paragraphs)
    return _document(title, body)


def _document(title: str, body: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)} – Monitors</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<style>{STYLE}</style>
</head>
<body>
<main>
<p class="brand">Monitors</p>{body}
</main>
</body>
</html>
"""


def _text(text: str) -> str:
    """Plain text as HTML; what stands in backticks is code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))


def _summary(problems: Mapping[str, str]) -> str:
    if not problems:
        return ""
    general = problems.get(GENERAL)
    told = _text(general) if general else "Nothing was made yet: see below what needs a change."
    return f'<p class="problem" role="alert">{told}</p>'


def _problem(problems: Mapping[str, str], name: str) -> str:
    return f'<p class="problem" id="{name}-problem">{_text(problems[name])}</p>' if name in problems else ""


def _described(problems: Mapping[str, str], name: str, others: Iterable[str] = ()) -> str:
    """The attributes that tie an input to its hint and its problem."""
    ids = [*others, *([f"{name}-problem"] if name in problems else [])]
    described = f' aria-describedby="{" ".join(ids)}"' if ids else ""
    return described + (' aria-invalid="true"' if name in problems else "")


def _name_field(entries: Entries, problems: Mapping[str, str]) -> str:
    attributes = (
        f'type="text" name="{NAME}" id="{NAME}" value="{escape(entries.name)}" required maxlength="64" '
        r'pattern="[A-Za-z0-9._\-]{1,64}" title="letters, digits, dots, dashes and underscores" '
        'spellcheck="false" autocapitalize="none"'
    )
    return _field(NAME, NAME_LABEL, NAME_HINT, problems, lambda described: f"<input {attributes}{described}>")


def _choice(name: str, kind: Kind, entries: Entries, policy: Policy) -> str:
    missing = kind.missing(policy)
    chosen = " checked" if name == entries.kind else ""
    return (
        f'<div class="choice"><input type="radio" name="{KIND}" id="kind-{name}" value="{name}"{chosen}'
        f'{" disabled" if missing else ""}> <label for="kind-{name}">{escape(kind.title)}'
        f"<small>{escape(missing or kind.summary)}</small></label></div>\n"
    )


def _inputs(name: str, kind: Kind, entries: Entries, problems: Mapping[str, str]) -> str:
    fields = "".join(_entry(name, entry, entries, problems) for entry in kind.inputs)
    return f'<div class="inputs" id="inputs-{name}">{fields}</div>\n' if fields else ""


def _grouping(entries: Entries, problems: Mapping[str, str]) -> str:
    """Folded up until somebody has entered something: nobody needs it for a first channel."""
    is_open = any(entries.values.get(name) or name in problems for name in grouping.NAMES)
    chosen = entries.values.get(grouping.BY, "")
    choices = "".join(
        f'<div class="choice"><input type="radio" name="{grouping.BY}" id="by-{value or "usual"}" value="{value}"'
        f'{" checked" if value == chosen else ""}> <label for="by-{value or "usual"}">{escape(title)}'
        f"<small>{escape(summary)}</small></label></div>\n"
        for value, (title, summary, _) in grouping.CHOICES.items()
    )
    fields = "".join(_entry(grouping.PREFIX, entry, entries, problems) for entry in grouping.INPUTS)
    holds = grouping.HOLD_URGENT in entries.values
    return f"""<details{" open" if is_open else ""}>
<summary>What is told together</summary>
<fieldset class="kinds"{_described(problems, grouping.BY)}>
<legend>Alerts in one message</legend>
{_problem(problems, grouping.BY)}
{choices}</fieldset>
{fields}{_box(grouping.HOLD_URGENT, "Let ends and what got worse wait, too", checked=holds)}
</details>"""


def _templates(entries: Entries, problems: Mapping[str, str]) -> str:
    """Folded up as well."""
    is_open = any(entries.values.get(name) or name in problems for name in templates.NAMES)
    fields = "".join(_entry("", entry, entries, problems) for entry in templates.INPUTS)
    return f"""<details{" open" if is_open else ""}>
<summary>What messages say</summary>
{fields}</details>"""


def _entry(kind: str, entry: Input, entries: Entries, problems: Mapping[str, str]) -> str:
    name = input_name(kind, entry) if kind else entry.field
    value = entries.values.get(name, "")
    if entry.is_secret and value and name not in problems:
        problems = {**problems, name: AGAIN}
    common = f'name="{name}" id="{name}" spellcheck="false" autocapitalize="none" autocomplete="off"'
    shown = "" if entry.is_secret else escape(value)

    def control(described: str) -> str:
        if entry.type == "textarea":
            return f'<textarea {common} rows="3"{described}>\n{shown}</textarea>'
        # A browser would refuse in silence to send a form with a wrong URL in an input that isn't shown.
        kind = 'type="text" inputmode="url"' if entry.type == "url" else f'type="{entry.type}"'
        return f'<input {kind} {common} value="{shown}"{described}>'

    return _field(name, entry.label, entry.hint, problems, control)


def _field(name: str, label: str, hint: str, problems: Mapping[str, str], control: Callable[[str], str]) -> str:
    described = _described(problems, name, [f"{name}-hint"])
    if name == next(iter(problems), ""):
        described += " autofocus"
    return (
        f'<div class="field"><label for="{name}">{escape(label)}</label>\n'
        f'<p class="hint" id="{name}-hint">{escape(hint)}</p>\n{control(described)}\n{_problem(problems, name)}</div>\n'
    )


def _box(name: str, label: str, *, checked: bool) -> str:
    return (
        f'<div class="choice"><input type="checkbox" name="{name}" id="{name}" value="yes"'
        f'{" checked" if checked else ""}> <label for="{name}">{escape(label)}</label></div>'
    )
