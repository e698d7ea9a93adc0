"""Opens the page for channels as a browser does: reads its form, sends it, and keeps what comes back."""

import http.client
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode, urljoin, urlsplit

VOID = ("meta", "input", "br", "hr", "link", "img")
FORM = "application/x-www-form-urlencoded"


class _Reader(HTMLParser):
    """Takes a document apart. Raises AssertionError where elements aren't closed in order or an id is there twice."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, str] = {}
        self.text = ""
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.append(attributes["id"])
        if tag not in VOID:
            self.open.append(tag)
            self._inside.append(attributes.get("id", "") or attributes.get("name", ""))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, tag
        assert self.open.pop() == tag
        self._inside.pop()

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.text += data
        for name in filter(None, self._inside):
            self.texts[name] = self.texts.get(name, "") + data


@dataclass(frozen=True)
class Page:
    """An answer. `texts` has what stands in an element, by its id or name."""

    url: str
    status: int
    headers: dict[str, str]
    html: str
    text: str = ""
    texts: dict[str, str] = field(default_factory=dict)
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def problem(self, name: str) -> str:
        """What is said to be wrong with an input."""
        return self.texts.get(f"{name}-problem", "")

    def filled(self) -> dict[str, str]:
        """The form as a browser would send it, its inputs as they are filled in."""
        values = {}
        for tag, attributes in self.elements:
            is_off = attributes.get("type") in ("radio", "checkbox") and "checked" not in attributes
            if tag == "input" and not is_off and "disabled" not in attributes:
                values[attributes["name"]] = attributes.get("value", "")
            elif tag == "textarea":
                # HTML drops one line break at the beginning.
                values[attributes["name"]] = self.texts.get(attributes["id"], "").removeprefix("\n")
        return values

    def submit(self, changes: Mapping[str, str], headers: Mapping[str, str] | None = None) -> "Page":
        """Sends the form with some inputs changed."""
        filled = {**self.filled(), **changes}
        (action,) = [attributes["action"] for tag, attributes in self.elements if tag == "form"]
        body = urlencode(filled).encode()
        same_origin = {"Content-Type": FORM, "Origin": "null", "Sec-Fetch-Site": "same-origin"}
        return fetch(urljoin(self.url, action), body, {**same_origin, **(headers or {})})


def fetch(url: str, body: bytes | None = None, headers: dict[str, str] | None = None, method: str = "") -> Page:
    """GET, or POST if there is a body. The document must be well-formed."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=20)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method or ("GET" if body is None else "POST"), target, body, headers or {})
        response = connection.getresponse()
        html = response.read().decode()
        received = {name.lower(): value for name, value in response.getheaders()}
    finally:
        connection.close()
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert not reader.open
    return Page(url, response.status, received, html, reader.text, reader.texts, reader.elements)
