"""Secrets out of a folder of files: taken as variables, and nothing of them told when they can't be."""

from collections.abc import Callable, MutableMapping
from pathlib import Path

import pytest

from monitors.bridge.settings import BadSetting
from monitors.bridge.settings import take_secret_files as take_in_the_bridge
from monitors.mesh.secret_files import SecretsUnreadable, take_secret_files
from tests.deploy.containers import put_secrets

Take = Callable[[MutableMapping[str, str]], None]
each_taker = pytest.mark.parametrize("take", [take_secret_files, take_in_the_bridge])


@each_taker
def test_each_file_is_the_variable_of_its_name_without_the_line_break(take: Take, tmp_path: Path) -> None:
    put_secrets(tmp_path / "secrets", {"REDIS_URL": "redis://:x@redis:6379/0\n", "MONITORS_KEY": " as it is "})
    environment = {"MONITORS_SECRETS_DIR": str(tmp_path / "secrets")}
    take(environment)
    assert environment["REDIS_URL"] == "redis://:x@redis:6379/0"
    assert environment["MONITORS_KEY"] == " as it is "
    assert len(environment) == 3


@each_taker
def test_a_variable_that_is_set_wins_over_its_file(take: Take, tmp_path: Path) -> None:
    put_secrets(tmp_path / "secrets", {"MONITORS_KEY": "of the file"})
    environment = {"MONITORS_SECRETS_DIR": str(tmp_path / "secrets"), "MONITORS_KEY": "set"}
    take(environment)
    assert environment["MONITORS_KEY"] == "set"


@each_taker
def test_without_a_folder_nothing_is_taken(take: Take) -> None:
    environment: dict[str, str] = {}
    take(environment)
    assert environment == {}


@each_taker
@pytest.mark.parametrize("content", [None, b"\xff\xfecanary"])
def test_what_cannot_be_read_is_refused_by_the_name_of_the_variable(
    take: Take, content: bytes | None, tmp_path: Path
) -> None:
    folder = tmp_path / "secrets"
    if content is not None:
        folder.mkdir()
        (folder / "MONITORS_KEY").write_bytes(content)
    with pytest.raises((SecretsUnreadable, BadSetting), match="MONITORS_SECRETS_DIR") as raised:
        take({"MONITORS_SECRETS_DIR": str(folder)})
    assert "canary" not in str(raised.value)
