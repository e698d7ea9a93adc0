"""The MCP App on list_alerts: a table in which a user reads and acknowledges alerts, beside the conversation.

It's one HTML document without dependencies that talks to its host alone; what it shows comes through the tools. Its
page, style and scripts are a file each here.
"""

from importlib.resources import files

from mcp.server.apps import Apps

ALERTS_URI = "ui://alerts"
UI_META = {"ui": {"resourceUri": ALERTS_URI}}
"""What a tool's `_meta` says so that hosts show its answers in the app."""

_SCRIPTS = ("host.js", "alerts.js")


def alerts_page() -> str:
    """The document."""
    scripts = "".join(_text(name) for name in _SCRIPTS)
    return (
        _text("alerts.html")
        .replace("<style></style>", f"<style>\n{_text('alerts.css')}</style>")
        .replace('<script type="module"></script>', f'<script type="module">\n{scripts}</script>')
    )


def _text(name: str) -> str:
    """A part, less what only its readers need: indentation, and comments that have a line of their own."""
    lines = (line.strip() for line in (files(__name__) / name).read_text(encoding="utf-8").splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("//"))


def apps_extension() -> Apps:
    """The extension with the document. It brings no tool: list_alerts names the document in its own `_meta`, so that it
    stays as strict as the others and in its place among them."""
    apps = Apps()
    apps.add_html_resource(
        ALERTS_URI,
        alerts_page(),
        name="alerts",
        title="Alerts",
        description="The answers of list_alerts as a table, for hosts that show MCP Apps.",
        prefers_border=True,
    )
    return apps
