"""`monitors status`: one look, a mesh of several servers, and a look that lasts."""

import json
import signal
from contextlib import ExitStack
from typing import IO

from monitors.cli.failures import ExitCode
from tests.cli.conftest import Command
from tests.cli.memory_mesh import MemoryMesh, open_memory_mesh
from tests.cli.test_process import SECONDS, started
from tests.harness import LoopThread


def test_status_is_healthy_when_all_serve(monitors: Command) -> None:
    document = monitors("status", "--json").document
    assert document["healthy"]
    assert document["services"] == {"rules": "serving", "evaluator": "serving", "notifier": "serving"}
    assert (document["evaluator"]["rule_count"], document["evaluator"]["last_step_duration"]) == (7, "1ms500us")
    assert document["notifier"]["start_time"] == "2026-03-01T12:00:00Z"
    assert "serving" in monitors("status").stdout


def test_status_shows_how_deliveries_stand(mesh: MemoryMesh, monitors: Command) -> None:
    def value(what: str) -> str:
        (line,) = [line for line in monitors("status").stdout.splitlines() if what in line]
        return line.partition(what)[2].strip()

    counts = [value(what) for what in ("pending count", "dead count", "suppressed count", "open breakers")]
    assert counts == ["3", "2", "1", "none"]
    assert value("oldest due time").startswith("2026-03-01T12:00:00Z, ")
    mesh.notifier.open_breakers = ["ops", "team"]
    assert value("open breakers") == "2: ops, team"


def test_status_fails_when_a_service_has_a_problem(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.notifier.problems = ["the mail server refuses us"]
    outcome = monitors("status", ok=False)
    assert outcome.code == ExitCode.FAILED
    assert outcome.stderr == "problem: notifier: the mail server refuses us\n"


def test_status_names_the_service_that_is_absent(loop_thread: LoopThread, monitors: Command) -> None:
    with loop_thread.opened(open_memory_mesh(with_evaluator=False)) as partial:
        outcome = monitors("status", "--json", ok=False, MONITORS_SERVER=f"127.0.0.1:{partial.port}")
    assert outcome.code == ExitCode.FAILED
    assert outcome.document["services"]["evaluator"] == "absent"
    assert outcome.document["evaluator"] is None
    (problem,) = outcome.document["problems"]
    assert problem == (
        "the evaluator service is absent; services that run on their own are asked together: "
        "`monitors status --at HOST:PORT`, with an --at for each"
    )


def test_status_of_a_mesh_that_is_away_is_unreachable(monitors: Command) -> None:
    assert monitors("status", ok=False, MONITORS_SERVER="127.0.0.1:1").code == ExitCode.UNREACHABLE


def test_a_mesh_of_several_servers_is_seen_as_one(loop_thread: LoopThread, monitors: Command) -> None:
    with (
        loop_thread.opened(open_memory_mesh(with_evaluator=False)) as first,
        loop_thread.opened(open_memory_mesh(with_notifier=False)) as second,
    ):
        addresses = [f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"]
        both = ("status", "--at", addresses[0], "--at", addresses[1])
        document = monitors(*both, "--json").document
        shown = monitors(*both).stdout
    assert (document["healthy"], [server["server"] for server in document["servers"]]) == (True, addresses)
    assert document["servers"][0]["notifier"]["dead_count"] == 2
    assert document["servers"][1]["evaluator"]["rule_count"] == 7
    assert f"evaluator {addresses[1]}" in shown


def test_of_several_servers_one_that_is_away_is_a_problem(mesh: MemoryMesh, monitors: Command) -> None:
    outcome = monitors("status", "--at", f"127.0.0.1:{mesh.port}", "--at", "127.0.0.1:1", "--json", ok=False)
    assert outcome.code == ExitCode.FAILED
    (problem,) = outcome.document["problems"]
    assert "127.0.0.1:1" in problem
    assert outcome.document["servers"][1]["services"]["rules"] == "unreachable"


def test_a_look_that_lasts_shows_what_has_changed(mesh: MemoryMesh, monitors: Command) -> None:
    with started(monitors, "status", "--watch", "--every", "100ms", "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["problems"] == []
        mesh.notifier.problems = ["the mail server refuses us"]
        told: list[str] = []
        while not told:
            told = json.loads(process.stdout.readline())["problems"]
        assert told == ["notifier: the mail server refuses us"]
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0


def test_a_look_that_lasts_goes_on_while_the_mesh_is_away(loop_thread: LoopThread, monitors: Command) -> None:
    with ExitStack() as running:
        mesh = running.enter_context(loop_thread.opened(open_memory_mesh()))
        server = f"127.0.0.1:{mesh.port}"
        asking = Command({**monitors.environment, "MONITORS_SERVER": server})
        with started(asking, "status", "-w", "--every", "100ms") as process:
            assert process.stdout
            _skip_to("serving", process.stdout)
            running.close()
            assert server in _skip_to("problem: ", process.stdout)


def _skip_to(text: str, output: IO[str]) -> str:
    """The next line with the text."""
    for line in output:
        if text in line:
            return line
    raise AssertionError(f"it ended without {text!r}")


def test_points_per_second_are_told_from_the_second_look_on(mesh: MemoryMesh, monitors: Command) -> None:
    with started(monitors, "status", "--watch", "--every", "100ms") as process:
        assert process.stdout
        assert _skip_to("points per second", process.stdout).split()[-1] == "0"


def test_looking_without_a_pause_is_refused(monitors: Command) -> None:
    outcome = monitors("status", "--watch", "--every", "1ms", ok=False)
    assert (outcome.code, "100ms" in outcome.stderr) == (ExitCode.USAGE, True)
