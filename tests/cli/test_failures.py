"""How the command fails: exit codes that scripts can tell apart, and one line that says what to do."""

from pathlib import Path

import pytest

from monitors.cli.failures import ExitCode
from monitors.mesh import errors
from tests.cli.conftest import Command
from tests.cli.memory_mesh import KEY, MemoryMesh, open_memory_mesh
from tests.harness import LoopThread


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.NotFound("rule", "rule_x"), ExitCode.NOT_FOUND),
        (errors.InvalidField("title", "'' is empty; write 1 to 200 characters"), ExitCode.INVALID),
        (errors.InvalidCondition("when", "position 3"), ExitCode.INVALID),
        (errors.MissingScope("rules:read"), ExitCode.UNAUTHENTICATED),
        (errors.EtagMismatch("rule", "rule_x", "1", "2"), ExitCode.CONFLICT),
        (errors.AlreadyExists("channel", "ops"), ExitCode.CONFLICT),
        (errors.WrongState("it's resolved already"), ExitCode.CONFLICT),
        (errors.NotBuilt("explain", "look at the alert"), ExitCode.FAILED),
        (errors.QuotaExceeded("500 rules are the limit"), ExitCode.FAILED),
        (errors.MeshError("error 1234"), ExitCode.FAILED),
    ],
)
def test_each_kind_of_refusal_has_its_code_and_the_mesh_its_own_words(
    mesh: MemoryMesh, monitors: Command, error: errors.MeshError, code: ExitCode
) -> None:
    mesh.rules.failure = error
    outcome = monitors("rules", "show", "rule_x", "--json", ok=False)
    assert (outcome.code, outcome.stdout, outcome.stderr) == (code, "", f"error: {error.message}\n")


def test_a_service_that_is_away_is_told_from_a_mesh_that_is_away(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.failure = errors.ServiceUnavailable("evaluator")
    outcome = monitors("rules", "show", "rule_x", ok=False)
    assert outcome.code == ExitCode.UNREACHABLE
    assert outcome.stderr.startswith("error: the evaluator service can't be reached")


def test_an_unreachable_mesh_says_how_to_start_it(monitors: Command) -> None:
    outcome = monitors("alerts", "list", ok=False, MONITORS_SERVER="127.0.0.1:1")
    assert outcome.code == ExitCode.UNREACHABLE
    assert all(part in outcome.stderr for part in ("127.0.0.1:1", "`monitors up`", "MONITORS_SERVER"))
    assert outcome.stderr.count("\n") == 1


def test_a_server_without_the_service_says_how_to_ask_the_right_one(loop_thread: LoopThread, monitors: Command) -> None:
    with loop_thread.opened(open_memory_mesh(with_notifier=False)) as partial:
        address = f"127.0.0.1:{partial.port}"
        outcome = monitors("channels", "list", ok=False, MONITORS_SERVER=address)
    assert outcome.code == ExitCode.FAILED
    assert outcome.stderr.startswith(f"error: {address} doesn't serve this")
    assert "MONITORS_SERVER" in outcome.stderr


def test_the_hints_of_the_mesh_name_our_commands(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.failure = errors.NotFound("rule", "rule_x", "ListRules shows those that there are")
    outcome = monitors("rules", "show", "rule_x", ok=False)
    assert outcome.stderr == "error: there is no rule 'rule_x'; `monitors rules list` shows those that there are\n"


def test_an_answer_cannot_steer_the_terminal(mesh: MemoryMesh, monitors: Command) -> None:
    mesh.rules.failure = errors.InvalidField("title", "'\x1b[31m' has\na control character")
    outcome = monitors("rules", "show", "rule_x", ok=False)
    assert outcome.stderr == "error: title: '\ufffd[31m' has a control character\n"


def test_the_key_comes_from_the_environment_or_from_the_home(monitors: Command, tmp_path: Path) -> None:
    wrong = monitors("alerts", "list", ok=False, MONITORS_KEY="alk_wrong")
    assert (wrong.code, "isn't known" in wrong.stderr) == (ExitCode.UNAUTHENTICATED, True)
    absent = monitors("alerts", "list", ok=False, MONITORS_KEY="")
    assert absent.code == ExitCode.UNAUTHENTICATED
    assert str(tmp_path / "home" / "key") in absent.stderr
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key").write_text(f"{KEY}\n")
    monitors("alerts", "list", MONITORS_KEY="")


def test_a_key_that_cannot_be_sent_is_refused_without_printing_it(monitors: Command) -> None:
    outcome = monitors("alerts", "list", ok=False, MONITORS_KEY="alk_sécret")
    assert outcome.code == ExitCode.FAILED
    assert "MONITORS_KEY" in outcome.stderr
    assert "cret" not in outcome.stderr


def test_a_url_as_server_is_refused_with_the_right_form(monitors: Command) -> None:
    outcome = monitors("alerts", "list", ok=False, MONITORS_SERVER="http://127.0.0.1:50051")
    assert (outcome.code, "host:port" in outcome.stderr) == (ExitCode.USAGE, True)


@pytest.mark.parametrize("url", ["example.org", "ftp://example.org", "http://", "http://a b/", "http://a:99999/"])
def test_up_refuses_a_url_that_cannot_be_checked(monitors: Command, url: str) -> None:
    outcome = monitors("up", "--check", url, ok=False)
    assert outcome.code == ExitCode.USAGE
    assert "--check" in outcome.stderr


def test_a_wrong_setting_is_named(monitors: Command) -> None:
    outcome = monitors("serve", "rules", ok=False, MONITORS_GRPC_PORT="many")
    assert (outcome.code, "MONITORS_GRPC_PORT" in outcome.stderr) == (ExitCode.USAGE, True)
