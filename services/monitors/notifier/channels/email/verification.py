"""The mail that asks whether alerts may come to an address. It's all that comes there until somebody says yes."""

from datetime import UTC, datetime
from email.message import EmailMessage
from html import escape

from monitors.mesh.times import SECOND
from monitors.notifier.channels.email.render import envelope, page
from monitors.notifier.channels.text import clean
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.verification import shown


def render(channel: Channel, address: str, code: str, until: int, url: str, sender: str, now: int) -> EmailMessage:
    """The mail with a code that works `until`, and the address of the page that confirms, if there is one."""
    end = f"{datetime.fromtimestamp(until // SECOND, UTC):%Y-%m-%d %H:%M} UTC"
    name, tenant = channel.name, clean(channel.tenant)
    asks = f"The channel {name} of the account {tenant} is to send alerts to this address."
    here = "Open this page and confirm:" if url else ""
    give = f"{'Or give' if url else 'If you want that, give'} this code to whoever has set the channel up:"
    nothing = "Don't you want that, or don't know what it is? Then do nothing: no alert comes here."
    command = f"monitors channels verify {name} {shown(code)}"
    mail = envelope(f"verify_{channel.id}_{now}", f"May alerts of {tenant} come to you?", sender, (address,), now)
    lines = [asks, "", *([f"{here}\n\n    {url}\n"] if url else []), give, "", f"    {shown(code)}", ""]
    mail.set_content("\n".join([*lines, f"They enter it with `{command}`, until {end}.", "", nothing]))
    button = f'<p>{here}<br><a href="{escape(url)}">Confirm this address</a></p>' if url else ""
    mail.add_alternative(
        page(
            f"<p>{escape(asks)}</p>{button}<p>{give}</p>"
            f'<p style="font-size:24px"><code>{shown(code)}</code></p>'
            f"<p>They enter it with <code>{escape(command)}</code>, until {end}.</p><p>{nothing}</p>"
        ),
        subtype="html",
    )
    return mail
