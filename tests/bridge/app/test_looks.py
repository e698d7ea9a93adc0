"""How the table looks and is used: both themes, any width, by keyboard and with a screen reader."""

from typing import Any

import pytest
from playwright.sync_api import expect

from monitors.mesh.times import now_nanos
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.app.world import BACKGROUNDS, Host, Hosts
from tests.rules.client import RESOLVED, SECOND, Client

pytestmark = pytest.mark.process

SEVERITIES = (
    rule_pb2.SEVERITY_LOW, rule_pb2.SEVERITY_MEDIUM, rule_pb2.SEVERITY_HIGH, rule_pb2.SEVERITY_CRITICAL,
)  # fmt: skip
# Every element with text of its own, with its colour and what is behind it, as sRGB. What is turned off may be faint.
COLOURS = """(root, canvas) => {
  const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const over = (backdrop, colour) => {
    paint.fillStyle = backdrop;
    paint.fillRect(0, 0, 1, 1);
    paint.fillStyle = colour;
    paint.fillRect(0, 0, 1, 1);
    const [red, green, blue] = paint.getImageData(0, 0, 1, 1).data;
    return `rgb(${red}, ${green}, ${blue})`;
  };
  const behind = (node) =>
    node ? over(behind(node.parentElement), getComputedStyle(node).backgroundColor) : canvas;
  return [...root.querySelectorAll("body *")]
    .filter((node) => node.checkVisibility() && !node.closest("nav [aria-disabled]"))
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim()))
    .map((node) => [node.textContent, over(behind(node), getComputedStyle(node).color), behind(node)]);
}"""


@pytest.fixture
def busy(client: Client) -> Client:
    """A tenant with alerts of all severities and states."""
    now = now_nanos()
    for number, severity in enumerate(SEVERITIES):
        rule = client.create(title=f"Rule {number}", severity=severity)
        for core in range(3):
            client.fire(rule, now - (number * 3_600 + core + 1) * SECOND, value=91 + core, group={"cpu": f"{core}"})
    client.record(client.transition(rule, RESOLVED, now, episode=now - (3 * 3_600 + 1) * SECOND))
    listed = client.call(pb.ListAlertsRequest()).alerts
    client.call(pb.AcknowledgeAlertsRequest(alert_ids=[listed[1].id], note="on it"))
    return client


def shown_in(host: Host, mode: str) -> None:
    host.show()
    expect(host.rows.first).to_be_visible()
    if mode == "fullscreen":
        host.run("bridge.sendHostContextChange({ displayMode: 'fullscreen' })")
        expect(host.rows).to_have_count(12)


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", BACKGROUNDS)
def test_every_text_can_be_read_in_both_themes(hosts: Hosts, busy: Client, theme: str) -> None:
    host = hosts.open(busy, theme=theme)
    shown_in(host, "fullscreen")
    host.run("void (bridge.oncalltool = async () => { throw new Error('no') })")
    host.button("Acknowledge").first.click()
    expect(host.view.get_by_role("alert")).to_be_visible()
    assert host.inside("root => getComputedStyle(root).colorScheme") == theme
    texts: list[list[str]] = host.view.locator("html").evaluate(COLOURS, BACKGROUNDS[theme])
    assert len(texts) > 60
    assert {text: round(contrast(*colours), 1) for text, *colours in texts if contrast(*colours) < 4.5} == {}


def test_the_hosts_colours_and_theme_are_taken_over_as_they_change(hosts: Hosts, busy: Client) -> None:
    variables = {"--color-text-primary": "light-dark(#102030, #d0e0f0)", "--font-sans": "monospace"}
    host = hosts.open(busy, context={"styles": {"variables": variables}})
    shown_in(host, "inline")
    look = "root => [getComputedStyle(root).color, getComputedStyle(root).fontFamily]"
    assert host.inside(look) == ["rgb(16, 32, 48)", "monospace"]
    host.run("bridge.sendHostContextChange({ theme: 'dark' })")
    expect(host.view.locator("html")).to_have_css("color", "rgb(208, 224, 240)")


@pytest.mark.parametrize("width", [720, 340])
@pytest.mark.parametrize(
    ("room", "limit"), [({}, 500), ({"maxHeight": 2_000}, 500), ({"maxHeight": 300}, 300), ({"height": 400}, 400)]
)
def test_inline_it_fits_and_nothing_in_it_scrolls(
    hosts: Hosts, busy: Client, width: int, room: dict[str, int], limit: int
) -> None:
    host = hosts.open(busy, width=width, context={"containerDimensions": room})
    shown_in(host, "inline")
    measured: list[Any] = host.inside(
        """async (root) => {
          await new Promise(requestAnimationFrame);
          const scrolls = (node) => /auto|scroll/.test(getComputedStyle(node).overflow);
          return [Math.ceil(root.getBoundingClientRect().height), root.scrollWidth - innerWidth,
            [...root.querySelectorAll("*")].filter(scrolls).length];
        }"""
    )
    assert 0 < measured[0] <= limit
    assert measured[1:] == [0, 0]
    assert host.run("seen.sizes.at(-1)") == {"width": width, "height": measured[0]}


@pytest.mark.parametrize("width", [720, 340])
def test_what_is_touched_is_large_enough(hosts: Hosts, busy: Client, width: int) -> None:
    host = hosts.open(busy, width=width)
    shown_in(host, "inline")
    boxes = [button.bounding_box() for button in host.view.get_by_role("button").all()]
    assert len(boxes) > 4
    assert all(box and box["width"] >= 44 and box["height"] >= 44 for box in boxes)


def test_a_keyboard_is_enough(hosts: Hosts, busy: Client) -> None:
    host = hosts.open(busy)
    shown_in(host, "inline")
    host.button("Next alerts").focus()
    host.page.keyboard.press("Enter")
    expect(host.summary).not_to_contain_text("1–")
    expect(host.button("Next alerts")).to_be_focused()
    host.button("Refresh").focus()
    host.page.keyboard.press("Tab")
    focused = host.view.locator(":focus")
    expect(focused).to_have_text("Acknowledge")
    expect(focused).to_have_css("outline-style", "solid")
    host.page.keyboard.press("Space")
    expect(host.view.locator("td:focus")).to_contain_text("by key_")


@pytest.mark.parametrize("width", [720, 340])
def test_a_screen_reader_finds_a_table(hosts: Hosts, client: Client, width: int) -> None:
    client.fire(client.create(title="CPU is busy"), now_nanos() - 725 * SECOND, value=97)
    host = hosts.open(client, width=width)
    host.show()
    expect(host.rows).to_have_count(1)
    expect(host.view.locator("body")).to_match_aria_snapshot(
        """
        - banner:
          - heading "1–1 of 1 alert shown" [level=1]
          - button "Refresh"
        - table "1–1 of 1 alert shown":
          - rowgroup:
            - row:
              - columnheader "Severity"
              - columnheader "Alert"
              - columnheader "Value"
              - columnheader "State"
              - columnheader "Acknowledged"
          - rowgroup:
            - row:
              - cell
              - rowheader
              - cell
              - cell
              - cell:
                - button "Acknowledge CPU is busy on mon_host · cpu=0"
        - status
        """
    )
