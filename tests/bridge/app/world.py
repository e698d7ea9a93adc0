"""Claude's side of the table: a host page in Chromium, and the mesh behind it."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Browser, FrameLocator, Locator, Page, Request, Route, sync_playwright

from tests.bridge.app.installing import HERE, find_chromium
from tests.rules.client import Client

HOST, SANDBOX = "http://localhost:8080/", "http://127.0.0.1:8081/sandbox.html"
"""Nothing listens there: the browser is given both pages, and the host's calls go on to the bridge."""
STRICT = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
BACKGROUNDS = {"light": "#ffffff", "dark": "#262624"}


@contextmanager
def launched() -> Iterator[Browser]:
    """Runs Chromium. Raises NotToBeHad."""
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.executable, env={**chromium.environment}, chromium_sandbox=os.geteuid() != 0
        )
        yield browser
        browser.close()


@dataclass
class Host:
    """A host with the app of one tenant open in it."""

    page: Page
    troubles: list[str] = field(default_factory=list)
    """What the browser complained of: errors, refused requests, requests that the app has no right to."""

    def show(self, **arguments: Any) -> None:
        """Has the tool called as Claude does."""
        self.page.evaluate("input => call(input)", arguments)

    def run(self, script: str, argument: Any = None) -> Any:
        """Runs a script on the host's side."""
        return self.page.evaluate(script, argument)

    @property
    def view(self) -> FrameLocator:
        return self.page.frame_locator("iframe").frame_locator("iframe")

    @property
    def rows(self) -> Locator:
        return self.view.locator("tbody tr")

    @property
    def summary(self) -> Locator:
        return self.view.get_by_role("heading")

    def button(self, name: str) -> Locator:
        return self.view.get_by_role("button", name=name)

    def inside(self, script: str) -> Any:
        """Runs a function of the document's root in the app."""
        return self.view.locator("html").evaluate(script)

    @property
    def contexts(self) -> list[str]:
        """What Claude was told, oldest first."""
        told: list[str] = self.run("seen.contexts")
        return told


@dataclass(frozen=True)
class Hosts:
    """Opens hosts in one browser."""

    browser: Browser
    script: str
    bridge_url: str

    def open(
        self, client: Client, *, theme: str = "light", width: int = 720, key: str = "",
        context: Mapping[str, Any] | None = None, capabilities: Mapping[str, Any] | None = None,
    ) -> Host:  # fmt: skip
        """A host of the client's tenant, whose chat is `width` pixels wide, with the app in it and no alerts yet."""
        page = self.browser.new_page(viewport={"width": width + 40, "height": 760}, reduced_motion="reduce")
        page.set_default_timeout(10_000)
        host = Host(page)
        page.on("pageerror", lambda error: host.troubles.append(str(error)))
        page.on("console", lambda message: host.troubles.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: _check(request, host.troubles))
        style = f"body{{margin:20px;background:{BACKGROUNDS[theme]}}}iframe{{width:100%;border:0;height:60px}}"
        html = f"<!doctype html><html style='color-scheme:{theme}'><style>{style}</style><iframe title=App></iframe>"
        page.route(HOST, lambda route: route.fulfill(body=html, content_type="text/html"))
        page.route(
            SANDBOX,
            lambda route: route.fulfill(path=HERE / "sandbox.html", headers={"Content-Security-Policy": STRICT}),
        )
        page.route(f"{HOST}mcp", lambda route: _pass_on(route, self.bridge_url))
        page.goto(HOST)
        page.add_script_tag(content=self.script)
        options = {
            "key": key or client.key,
            "sandbox": f"{SANDBOX}#{theme}",
            "context": {
                "theme": theme,
                "displayMode": "inline",
                "locale": "en-GB",
                "timeZone": "UTC",
                **(context or {}),
            },
            **({"capabilities": dict(capabilities)} if capabilities is not None else {}),
        }
        page.evaluate("options => open(options)", options)
        return host


def _pass_on(route: Route, url: str) -> None:
    """Passes a request of the host on to the bridge. A stream without an end can't be passed on and isn't needed."""
    if route.request.method == "GET":
        route.fulfill(status=405)
    else:
        route.fulfill(response=route.fetch(url=url))


def _check(request: Request, troubles: list[str]) -> None:
    known = (HOST, SANDBOX, f"{HOST}mcp")
    if request.url.partition("#")[0] not in known and not request.url.startswith("about:"):
        troubles.append(f"requested {request.url}")
