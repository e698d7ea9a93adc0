"""`monitors secrets`: for the operator, straight at the notifier's database."""

import base64
from pathlib import Path

import pytest

from monitors.cli.failures import ExitCode
from tests.cli.conftest import Command
from tests.harness import LoopThread
from tests.notifier.test_with_rule_service import both
from tests.notifier.world import Record
from tests.servers.backends import addresses

NEW = base64.b64encode(b"n" * 32).decode()
OTHER = base64.b64encode(b"x" * 32).decode()


@pytest.fixture
def operator(loop_thread: LoopThread, tmp_path: Path) -> Command:
    """The command beside a notifier that has run with the key in its file, and has sealed a channel."""
    lines: Record[str] = Record()
    with loop_thread.opened(both(tmp_path, lines)) as opened:
        user = Command({"MONITORS_SERVER": f"127.0.0.1:{opened.port}", "MONITORS_KEY": opened.key})
        user("channels", "create", "ops", "--webhook", "https://example.org/x?token=canary")
    return Command({"MONITORS_HOME": str(tmp_path), **addresses(tmp_path)})


def test_a_rotation_from_the_file_to_a_new_key(operator: Command, tmp_path: Path) -> None:
    before = operator("secrets", "status", "--json").document
    assert before["keys"] == ["master.key"]
    assert before["rows"]["channels"] == {"master.key": 2}
    keys = f"2027:{NEW}"
    rotated = operator("secrets", "rotate", MONITORS_MASTER_KEYS=keys)
    count = sum(sum(rows.values()) for rows in before["rows"].values())
    assert f"{count} sealed anew with 2027" in rotated.stdout
    assert "No row stands under master.key any more" in rotated.stderr
    (tmp_path / "master.key").unlink()
    after = operator("secrets", "status", MONITORS_MASTER_KEYS=keys)
    assert [line.split()[:3] for line in after.stdout.splitlines()] == [
        ["KEY", "DOES", "CHANNELS"],
        ["2027", "seals", "2"],
    ]
    again = operator("secrets", "rotate", "--json", MONITORS_MASTER_KEYS=keys).document
    assert (again["resealed"], again["lost"], again["rows"]["channels"]) == (0, 0, {"2027": 2})


def test_what_can_not_be_opened_is_told(operator: Command, tmp_path: Path) -> None:
    (tmp_path / "master.key").unlink()
    keys = f"other:{OTHER}"
    status = operator("secrets", "status", ok=False, MONITORS_MASTER_KEYS=keys)
    assert status.code == ExitCode.FAILED
    assert "missing" in status.stdout
    rotated = operator("secrets", "rotate", ok=False, MONITORS_MASTER_KEYS=keys)
    assert rotated.code == ExitCode.FAILED
    assert "can't be opened by any key" in rotated.stderr
    given_up = operator("secrets", "rotate", "--give-up-lost", MONITORS_MASTER_KEYS=keys)
    assert "enter the secrets again" in given_up.stderr


@pytest.mark.parametrize("command", ["status", "rotate"])
def test_a_wrong_place_or_key_is_named(tmp_path: Path, command: str) -> None:
    empty = Command({"MONITORS_HOME": str(tmp_path / "nowhere")})
    outcome = empty("secrets", command, ok=False)
    assert "MONITORS_NOTIFIER_DATABASE_URL" in outcome.stderr
    assert not (tmp_path / "nowhere").exists()
    (tmp_path / "notifier.db").touch()
    keyless = Command({"MONITORS_HOME": str(tmp_path)})("secrets", command, ok=False)
    assert "there is no master key" in keyless.stderr
    assert not (tmp_path / "master.key").exists()
    wrong = empty("secrets", command, ok=False, MONITORS_MASTER_KEYS="canary")
    assert wrong.code == ExitCode.USAGE
    assert "MONITORS_MASTER_KEYS must be" in wrong.stderr
    assert "canary" not in wrong.stderr
