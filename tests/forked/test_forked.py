"""A command that is forked does what one does that is started by itself."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests import forked
from tests.processes import BIN

NOWHERE = {"MONITORS_SERVER": "127.0.0.1:1", "MONITORS_KEY": "alk_local_0_x"}


def started(*arguments: str, environment: Mapping[str, str]) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(BIN / "monitors"), *arguments], env=environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("rules", "list"), ("rules", "lost"), ("serve", "rules")])
def test_it_writes_and_ends_as_one_that_is_started(arguments: tuple[str, ...]) -> None:
    environment = {"PATH": os.environ["PATH"], **NOWHERE}
    done = forked.run(*arguments, environment=environment)
    assert (done.returncode, done.stdout, done.stderr) == started(*arguments, environment=environment)


def test_it_knows_no_environment_but_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in NOWHERE.items():
        monkeypatch.setenv(name, value)
    done = forked.run("rules", "list", environment={"MONITORS_SERVER": "127.0.0.1:2", "MONITORS_KEY": "alk_local_0_x"})
    assert "127.0.0.1:2" in done.stderr


def test_it_runs_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules: 7")
    found = forked.run("rules", "test", "rules.yaml", environment={}, folder=tmp_path)
    lost = forked.run("rules", "test", "rules.yaml", environment={}, folder=tmp_path.parent)
    assert ("can't be read" in found.stderr, "can't be read" in lost.stderr) == (False, True)


def test_one_that_takes_too_long_is_killed(tmp_path: Path) -> None:
    environment = {
        "MONITORS_HOME": str(tmp_path), "MONITORS_SERVICE_TOKEN": "x" * 32, "MONITORS_GRPC_PORT": "0",
        "MONITORS_RULES_ADDRESS": "127.0.0.1:1", "PATH": os.environ["PATH"],
    }  # fmt: skip
    with pytest.raises(subprocess.TimeoutExpired):
        forked.run("serve", "notifier", environment=environment, timeout=0.5)


def test_the_signal_that_ended_it_is_told(tmp_path: Path) -> None:
    environment = {"MONITORS_HOME": str(tmp_path), "MONITORS_SERVICE_TOKEN": "x" * 32, "MONITORS_GRPC_PORT": "0"}
    process = forked.fork("serve", "rules", environment=environment)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    assert (process.wait(20), process.poll()) == (-signal.SIGKILL, -signal.SIGKILL)
    assert process.stdout is not None
    process.stdout.close()
