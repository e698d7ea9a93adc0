"""`monitors up`: the whole mesh on this machine, with collectors that feed it."""

import asyncio
import logging
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from rich.console import Console
from rich.text import Text

from monitors.app.children import Child, keep_running
from monitors.app.home import held_home
from monitors.app.lifetime import run_until_closed, settle
from monitors.app.logs import log_to_file
from monitors.app.mesh import Mesh, open_mesh
from monitors.app.tracing import tracing
from monitors.collectors.targets import parse_target
from monitors.mesh.config import LOCAL_TENANT, BadSetting, Settings, load_settings

log = logging.getLogger(__name__)

FIRST_POINTS_SECONDS = 5.0
LOOK_SECONDS = 0.05


def run_up(settings: Settings, checks: Sequence[str], *, host: bool, mcp: bool) -> int:
    """Runs the mesh until a signal ends it. `checks` are URLs to watch, `host` turns on the collector of this machine,
    `mcp` also starts the MCP bridge over HTTP. Returns the exit code."""
    with tracing(settings.tracing, "monitors"):
        return run_until_closed(lambda closing: _up(settings, checks, host, mcp, closing))


async def _up(settings: Settings, checks: Sequence[str], host: bool, mcp: bool, closing: asyncio.Event) -> None:
    console = Console(highlight=False)

    def print_line(line: str) -> None:
        # What comes from outside is printed as it is: no markup, no wrapping.
        console.print(Text(line), soft_wrap=True)

    _check_tenants(settings)
    if settings.has_https:
        raise BadSetting("MONITORS_HTTP_TLS is for `monitors serve evaluator`; unset it, or run the services with that")
    with held_home(settings.home):
        log_to_file(settings.home / "monitors.log", settings.log_format)
        async with open_mesh(settings, closing, print_line) as mesh:
            await _ready(mesh, closing)
            if closing.is_set():
                return
            settle()
            async with asyncio.TaskGroup() as group:
                children = _children(settings, mesh, checks, host=host, mcp=mcp)
                tasks = [group.create_task(keep_running(child)) for child in children]
                await _first_points(mesh, watched(checks, host=host), closing)
                console.print(banner(settings, mesh, checks, host=host, mcp=mcp), soft_wrap=True)
                await closing.wait()
                console.print("\nStopping …", style="dim")
                for task in tasks:
                    task.cancel()


def _check_tenants(settings: Settings) -> None:
    # What `up` allows, sending to this machine over plain http, is for its owner alone.
    if settings.rules.tenants:
        raise BadSetting(
            "MONITORS_TENANTS is set, but `monitors up` has the tenant 'local' alone; unset it, or run the services "
            "with `monitors serve`"
        )


async def _ready(mesh: Mesh, closing: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in (mesh.evaluator.ready, closing)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def watched(checks: Sequence[str], *, host: bool) -> list[str]:
    """The monitors that the collectors write to."""
    return [*(["mon_host"] if host else []), *(parse_target(check).monitor_id for check in checks)]


async def _first_points(mesh: Mesh, monitor_ids: Sequence[str], closing: asyncio.Event) -> None:
    """Waits until rules can name what is watched, since that is what whoever reads the banner does next; but not for
    long, since what is watched may be away."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_POINTS_SECONDS):
            while not closing.is_set() and not await mesh.rules.knows_monitors(LOCAL_TENANT, monitor_ids):
                with suppress(TimeoutError):
                    await asyncio.wait_for(closing.wait(), LOOK_SECONDS)


def _children(settings: Settings, mesh: Mesh, checks: Sequence[str], *, host: bool, mcp: bool) -> list[Child]:
    python = sys.executable
    key = {"MONITORS_KEY": mesh.key, "MONITORS_HOME": str(settings.home)}
    endpoint = f"http://{settings.host}:{mesh.http_port}"
    children = []
    if host:
        children.append(Child("host collector", [python, "-m", "monitors.collectors", "host", "--url", endpoint], key))
    if checks:
        targets = [word for check in checks for word in ("--target", check)]
        command = [python, "-m", "monitors.collectors", "check", "--url", endpoint, *targets]
        children.append(Child("URL collector", command, key))
    if mcp:
        bridge = str(Path(python).with_name("monitors-mcp"))
        server = {"MONITORS_SERVER": f"{settings.host}:{mesh.grpc_port}"}
        children.append(Child("MCP bridge", [bridge, "--http", "--port", str(settings.mcp_port)], {**key, **server}))
    return children


def banner(settings: Settings, mesh: Mesh, checks: Sequence[str], *, host: bool, mcp: bool) -> Text:
    """What runs where, and how to connect Claude."""
    watched = [*(["this machine as mon_host"] if host else []), *checks]
    lines = [
        ("Monitors is running.", "bold green"),
        (f"  gRPC    {settings.host}:{mesh.grpc_port}   rules, evaluator, notifier", ""),
        (f"  write   http://{settings.host}:{mesh.http_port}   InfluxDB line protocol, /api/v2/write and /write", ""),
        *(
            [(f"  points  {settings.influxdb_url}   written there and read from there", "")]
            if settings.influxdb_url
            else []
        ),
        *([(f"  MCP     http://{settings.host}:{settings.mcp_port}/mcp", "")] if mcp else []),
        *([(f"  metrics {mesh.metrics_url}", "")] if mesh.metrics_url else []),
        (f"  state   {settings.home}   key in {settings.key_file}, log in monitors.log", ""),
        (f"  watched {', '.join(watched) or 'nothing yet: write points, or start with --check URL'}", ""),
        ("Connect Claude Code:", "bold"),
        (f"  {connect_command(settings, mesh.grpc_port)}", ""),
        ("Then say: “Tell me when my CPU stays above 80 percent for ten seconds.”", ""),
        ("Alerts appear below. Ctrl-C ends it.", "dim"),
    ]
    text = Text()
    for line, style in lines:
        text.append(line + "\n", style=style)
    return text


def connect_command(settings: Settings, grpc_port: int) -> str:
    """The line that adds the bridge to Claude Code, with what it can't find by itself."""
    usual = load_settings({})
    given = []
    if (settings.host, grpc_port) != (usual.host, usual.grpc_port):
        given += ["-e", f"MONITORS_SERVER={settings.host}:{grpc_port}"]
    if settings.home != usual.home:
        given += ["-e", f"MONITORS_HOME={settings.home.absolute()}"]
    bridge = Path(sys.executable).with_name("monitors-mcp")
    return shlex.join(["claude", "mcp", "add", "monitors", *given, "--", str(bridge)])
