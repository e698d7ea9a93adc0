"""The command as a process of its own: what it loads, how it watches, how it asks."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from monitors.v1.alert_pb2 import AlertEventKind, AlertState
from monitors.v1.rule_service_pb2 import WatchAlertsResponse
from tests.cli.conftest import Command
from tests.cli.memory_mesh import MemoryMesh, alert
from tests.harness import LoopThread

SCRIPT = str(Path(sys.executable).with_name("monitors"))
FIRST = "alert_000000000001"
SECONDS = 20


def environment_of(monitors: Command) -> dict[str, str]:
    """The environment of a subprocess."""
    return {**os.environ, **{name: value for name, value in monitors.environment.items() if value is not None}}


@contextmanager
def started(monitors: Command, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The command while it runs, ended at the latest with the test."""
    with subprocess.Popen(
        [SCRIPT, *arguments],
        env=environment_of(monitors),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def send(loop_thread: LoopThread, mesh: MemoryMesh, event: WatchAlertsResponse | None) -> None:
    """Puts an event into the watcher's stream; None ends the stream."""
    loop_thread.run(mesh.rules.events.put(event))


def resolved(number: int) -> WatchAlertsResponse:
    """The news that an alert is over."""
    over = WatchAlertsResponse(alert=alert(number, state=AlertState.ALERT_STATE_RESOLVED))
    over.event.kind = AlertEventKind.ALERT_EVENT_KIND_RESOLVED
    over.event.time.FromSeconds(1_772_366_460)
    return over


def test_asking_loads_nothing_heavy() -> None:
    heavy = (
        "aiohttp", "sqlalchemy", "numpy", "environs", "psutil", "lark", "rich", "alembic", "cryptography", "yaml",
    )  # fmt: skip
    code = f"import sys, monitors.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=SECONDS)
    assert loaded.stdout == "[]\n"


def test_the_script_prints_one_document(monitors: Command) -> None:
    done = subprocess.run(
        [SCRIPT, "alerts", "list", "--json"],
        env=environment_of(monitors), capture_output=True, text=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    assert json.loads(done.stdout)["alerts"] == []
    assert done.stderr == ""


def test_watch_tells_what_fires_then_each_change_until_ctrl_c(
    mesh: MemoryMesh, monitors: Command, loop_thread: LoopThread
) -> None:
    mesh.rules.alerts = {FIRST: alert(1)}
    with started(monitors, "alerts", "watch", "--json") as process:
        assert process.stdout
        first = json.loads(process.stdout.readline())
        assert (first["alert"]["id"], first["alert"]["state"]) == (FIRST, "firing")
        send(loop_thread, mesh, resolved(1))
        second = json.loads(process.stdout.readline())
        assert (second["alert"]["state"], second["event"]["kind"]) == ("resolved", "resolved")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stderr
        assert process.stderr.read() == ""


def test_watch_takes_up_a_lost_stream_and_tells_no_alert_twice(
    mesh: MemoryMesh, monitors: Command, loop_thread: LoopThread
) -> None:
    mesh.rules.alerts = {FIRST: alert(1)}
    with started(monitors, "alerts", "watch") as process:
        assert process.stdout
        assert process.stderr
        line = process.stdout.readline()
        assert "CPU is hot" in line
        fired = datetime.fromtimestamp(alert(1).fire_time.seconds, UTC).astimezone()
        assert line.startswith(f"{fired:%H:%M:%S} firing")
        send(loop_thread, mesh, None)
        assert "waiting for the mesh" in process.stderr.readline()
        send(loop_thread, mesh, resolved(1))
        line = process.stdout.readline()
        assert "resolved" in line
        assert FIRST in line
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
        assert process.stdout.read() == ""


def test_watching_a_mesh_that_is_away_fails_at_once(monitors: Command) -> None:
    gone = Command({**monitors.environment, "MONITORS_SERVER": "127.0.0.1:1"})
    with started(gone, "alerts", "watch") as process:
        _, errors = process.communicate(timeout=SECONDS)
        assert process.returncode == 6
        assert "can't be reached" in errors


def test_delete_asks_at_a_terminal_and_takes_no_for_an_answer(mesh: MemoryMesh, monitors: Command) -> None:
    monitors("rules", "create", "--monitor", "m", "--title", "CPU is hot", "--when", "x > 1")
    for answer, code, left in ((b"n\n", 1, 1), (b"y\n", 0, 0)):
        controller, terminal = pty.openpty()
        try:
            os.write(controller, answer)
            done = subprocess.run(
                [SCRIPT, "rules", "delete", "rule_000000000001"],
                env=environment_of(monitors), stdin=terminal, capture_output=True, text=True, check=False,
                timeout=SECONDS,
            )  # fmt: skip
        finally:
            os.close(terminal)
            os.close(controller)
        assert done.returncode == code
        assert "Delete rule_000000000001 “CPU is hot”" in done.stderr
        assert len(mesh.rules.rules) == left


def test_who_waits_at_a_terminal_sees_what_for(mesh: MemoryMesh, monitors: Command, loop_thread: LoopThread) -> None:
    mesh.rules.alerts = {FIRST: alert(1)}
    loop_thread.run(call(mesh.rules.open_gate.clear))
    controller, terminal = pty.openpty()
    with subprocess.Popen(
        [SCRIPT, "alerts", "show", FIRST, "--json"],
        env=environment_of(monitors), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=terminal, text=True,
    ) as process:  # fmt: skip
        # Only the command holds the terminal now, so that reading ends with it.
        os.close(terminal)
        try:
            seen = b""
            while b"asking 127.0.0.1" not in seen:
                seen += os.read(controller, 4096)
            loop_thread.run(call(mesh.rules.open_gate.set))
            output, _ = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
            os.close(controller)
    assert json.loads(output)["alert"]["id"] == FIRST


async def call(function: Callable[[], None]) -> None:
    """Calls a function on the mesh's loop."""
    function()
