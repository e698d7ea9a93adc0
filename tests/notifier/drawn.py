"""Pictures of what arrives, for the docs: the payloads that we really send, drawn as simple HTML much like each chat.

`python -m tests.notifier.drawn` draws them anew, by Chromium; a test says when that is due.
"""

import hashlib
import json
import math
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Any

from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND
from monitors.notifier.channels.discord.render import render as render_discord
from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.pager_duty.render import render as render_events
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.teams.render import MAX_PICTURE
from monitors.notifier.channels.teams.render import render as render_teams
from monitors.notifier.model.picture import Picture
from monitors.rules.charts import Chart, Line, draw_within
from tests.notifier.samples import FIRING, NOW

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SUMS = IMAGES / "drawn.json"
"""What the pictures were drawn from."""
WIDTH = 660
CHART, SMALL_CHART = "chart-large", "chart-small"
WORDS = "avg(response_time, 5m) > 500 for 2m, 13:03 to 14:03 UTC: lowest 250, highest 790, last 731.457"
_FONT = "font:15px/1.45 'Liberation Sans',Arial,sans-serif"
# A machine that draws need have no font of emoji.
_DOT = '<span style="display:inline-block;width:.8em;height:.8em;border-radius:50%;background:#dd2e44"></span>'
_MARKED = re.compile(r"\*\*?(?P<bold>[^*]+)\*\*?|`(?P<code>[^`]*)`|<(?P<url>[^|>]+)(?:\|(?P<text>[^>]*))?>")


def chart(most: int) -> bytes:
    """The chart that a message about the sample would show."""
    times = [NOW - (360 - number) * 10 * SECOND for number in range(361)]
    values = [320 + 50 * math.sin(n / 9) + 20 * math.sin(n * 1.7) + (420 if n > 345 else 0) for n in range(361)]
    shown = Chart(
        title=f"{FIRING.title} · {FIRING.monitor_id}",
        subtitle=f"{FIRING.condition} (UTC)",
        lines=[Line("", times, values)],
        thresholds=[500.0],
        firing=[(FIRING.fire_time - 120 * SECOND, NOW)],
        start=times[0],
        end=NOW,
    )
    return draw_within(shown, most)


def slack() -> str:
    """Its blocks, as Slack shows them."""
    blocks = json.loads(render_slack(FIRING, NOW))["blocks"]
    shown = "".join(
        f'<div style="font-weight:900;font-size:18px;margin:2px 0 6px">{escape(block["text"]["text"])}</div>'
        if block["type"] == "header"
        else f"<div>{_lines(block['text']['text'], '#e01e5a', '#f8f8f8', '#1264a3')}</div>"
        for block in blocks
    )
    head = '<b>Monitors</b> <span style="background:#ddd;font-size:10px;padding:1px 3px">APP</span>'
    return _page("#ffffff", "#1d1c1d", f"{_said(head, shown, '#611f69', '6px')}")


def discord() -> str:
    """Its message and embed, as Discord shows them."""
    message = json.loads(render_discord(FIRING, NOW, Picture(b"x", WORDS)))
    (embed,) = message["embeds"]
    content = re.sub(r"\\(.)", r"\1", message["content"])
    inside = _lines(embed["description"], "#dbdee1", "#1e1f22", "#00a8fc")
    image = f'<img src="{CHART}" alt="" style="width:100%;border-radius:4px;margin-top:10px">'
    box = (
        f'<div style="border-left:4px solid #{embed["color"]:06x};background:#2b2d31;border-radius:4px;'
        f'padding:10px 14px;margin-top:6px;max-width:520px">{inside}{image if "image" in embed else ""}</div>'
    )
    head = (
        '<b>Monitors</b> <span style="background:#5865f2;font-size:10px;padding:1px 4px;border-radius:3px">APP</span>'
    )
    return _page("#313338", "#dbdee1", _said(head, f"<div>{escape(content)}</div>{box}", "#5865f2", "50%"))


def teams() -> str:
    """Its card, as Teams shows it."""
    small = Picture(b"x", WORDS)
    card = json.loads(render_teams(FIRING, NOW, small))["attachments"][0]["content"]
    rows = "".join(map(_element, card["body"]))
    actions = "".join(
        f'<span style="border:1px solid #bbb;border-radius:4px;padding:5px 16px">{escape(action["title"])}</span>'
        for action in card.get("actions", [])
    )
    style = "background:#fff;border-radius:6px;padding:14px 16px;box-shadow:0 1px 3px #0003"
    body = f'<div style="{style}">{rows}{actions}</div>'
    return _page("#f5f5f5", "#242424", f"<div style='margin-bottom:6px'><b>Workflows</b></div>{body}")


def pager_duty() -> str:
    """The incident that its event opens."""
    event = json.loads(render_events(FIRING, Secret("0" * 32), NOW)[0])
    payload = event["payload"]
    details = "".join(
        f'<tr><td style="color:#666;padding:1px 14px 1px 0">{escape(name)}</td><td>{escape(str(value))}</td></tr>'
        for name, value in payload["custom_details"].items()
    )
    links = "".join(f'<a style="color:#1264a3">{escape(link["text"])}</a>' for link in event["links"])
    body = (
        f'<div style="border-left:5px solid #c0392b;padding-left:12px"><span style="background:#c0392b;color:#fff;'
        f'padding:1px 8px;border-radius:3px;font-size:12px">{escape(payload["severity"])}</span> '
        f'<b style="font-size:17px">{escape(payload["summary"])}</b>'
        f'<div style="color:#666;margin:4px 0 8px">{escape(payload["source"])} · {escape(event["client"])} · '
        f"{links}</div>"
        f'<table style="font-size:13px;border-spacing:0">{details}</table></div>'
    )
    return _page("#ffffff", "#2a2a2a", body)


def mail() -> str:
    """Its HTML, as a mail program shows it."""
    made = render_mail(FIRING, "alerts@example.org", ("ann@example.org",), NOW, Picture(b"x", WORDS))
    html = made.get_body(("html",))
    assert html is not None
    return re.sub(r"cid:[^\"]+", CHART, str(html.get_content()))


DRAWN: Mapping[str, Callable[[], str]] = {
    "mail": mail,
    "slack": slack,
    "discord": discord,
    "teams": teams,
    "pager_duty": pager_duty,
}


def sums() -> dict[str, str]:
    """What tells whether a picture is still that of what we send."""
    return {name: hashlib.sha256(html().encode()).hexdigest()[:16] for name, html in DRAWN.items()}


def _page(ground: str, ink: str, body: str) -> str:
    style = f"margin:0;padding:16px;background:{ground};color:{ink};{_FONT}"
    return f'<!doctype html><meta charset="utf-8"><body style="{style}">{body.replace("🔴", _DOT)}'


def _said(head: str, body: str, colour: str, radius: str) -> str:
    avatar = (
        f'<div style="width:36px;height:36px;background:{colour};border-radius:{radius};color:#fff;text-align:center;'
        f'line-height:36px;font-weight:700;flex:none">M</div>'
    )
    time = '<span style="color:#888;font-size:12px">14:03</span>'
    return f'<div style="display:flex;gap:10px">{avatar}<div style="flex:1">{head} {time}{body}</div></div>'


def _lines(text: str, ink: str, ground: str, link: str) -> str:
    """Lines as chats format them: bold, code, links; what is escaped stays so."""

    def mark(found: re.Match[str]) -> str:
        if found["bold"]:
            return f"<b>{found['bold']}</b>"
        if found["url"]:
            return f'<span style="color:{link}">{found["text"] or found["url"]}</span>'
        style = (
            f"color:{ink};background:{ground};border-radius:3px;padding:0 3px;font:13px 'DejaVu Sans Mono',monospace"
        )
        return f'<code style="{style}">{found["code"]}</code>'

    return "".join(f"<div>{_MARKED.sub(mark, line)}</div>" for line in text.split("\n"))


def _element(element: dict[str, Any]) -> str:
    if element["type"] == "Image":
        return f'<img src="{SMALL_CHART}" alt="" style="width:100%;margin:8px 0">'
    runs = "".join(_run(run) for run in element["inlines"])
    return f'<div style="margin-bottom:4px">{runs}</div>'


def _run(run: dict[str, Any]) -> str:
    colour = {"attention": "#c4314b", "good": "#237b4b"}.get(run.get("color", ""), "inherit")
    size = "20px" if run.get("size") == "large" else "inherit"
    weight = 700 if run.get("weight") == "bolder" else 400
    family = "'DejaVu Sans Mono',monospace" if run.get("fontType") == "monospace" else "inherit"
    style = f"color:{colour};font-size:{size};font-weight:{weight};font-family:{family}"
    return f'<span style="{style}">{escape(run["text"])}</span>'


def main() -> None:
    """Draws all pictures anew."""
    from PIL import Image

    from tests.bridge.app.world import launched

    charts = {CHART: chart(65_536), SMALL_CHART: chart(MAX_PICTURE)}
    with launched() as browser:
        for name, html in DRAWN.items():
            source = html()
            for mark, png in charts.items():
                source = source.replace(f'src="{mark}"', f'src="data:image/png;base64,{b64encode(png).decode()}"')
            shots = []
            for scheme in ("light", "dark") if name == "mail" else ("light",):
                page = browser.new_page(color_scheme=scheme, viewport={"width": WIDTH, "height": 100})
                page.set_content(source)
                shots.append(Image.open(BytesIO(page.screenshot(full_page=True))).convert("RGB"))
            both = Image.new("RGB", (sum(shot.width for shot in shots), max(shot.height for shot in shots)))
            for number, shot in enumerate(shots):
                both.paste(shot, (number * WIDTH, 0))
            both.quantize(96, dither=Image.Dither.NONE).save(IMAGES / f"{name}.png", optimize=True)
    SUMS.write_text(json.dumps(sums(), indent=1) + "\n")


if __name__ == "__main__":
    main()
