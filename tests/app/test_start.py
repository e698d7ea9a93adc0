"""How the processes start: who may share a folder, what is told to people, and what isn't a traceback."""

import asyncio
import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest
import uvloop

from monitors.app.home import HomeUnusable, held_home
from monitors.app.lifetime import new_loop, run_until_closed
from monitors.app.serve import run_serve
from monitors.app.up import connect_command
from monitors.mesh.config import load_settings
from monitors.mesh.database import Database, sqlite_url
from monitors.rules.store.tables import rules
from tests.tenants import of_all


def test_services_share_a_folder_with_each_other_but_not_with_a_whole_mesh(tmp_path: Path) -> None:
    def mesh_is_refused() -> None:
        with pytest.raises(HomeUnusable, match="MONITORS_HOME"), held_home(tmp_path):
            pass

    with held_home(tmp_path, shared=True), held_home(tmp_path, shared=True):
        mesh_is_refused()
    with held_home(tmp_path):
        mesh_is_refused()
        with pytest.raises(HomeUnusable), held_home(tmp_path, shared=True):
            pass


@pytest.mark.parametrize(
    ("environment", "port", "given"),
    [
        ({}, 50051, ""),
        ({"MONITORS_GRPC_PORT": "0"}, 40000, "-e MONITORS_SERVER=127.0.0.1:40000 "),
        ({"MONITORS_HOME": "/srv/my mesh"}, 50051, "-e 'MONITORS_HOME=/srv/my mesh' "),
    ],
)
def test_the_line_for_claude_names_what_the_bridge_cannot_find(
    environment: dict[str, str], port: int, given: str
) -> None:
    line = connect_command(load_settings(environment), port)
    assert line.startswith(f"claude mcp add monitors {given}-- ")
    assert line.endswith("monitors-mcp")


def test_the_loop_is_that_of_libuv_where_it_is_installed() -> None:
    with contextlib.closing(new_loop()) as loop:
        assert isinstance(loop, uvloop.Loop)


def test_without_libuv_the_standard_library_s_loop_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with contextlib.closing(new_loop()) as loop:
        assert isinstance(loop, asyncio.SelectorEventLoop)


def test_damage_that_shows_only_when_the_data_are_read_is_told_with_the_file_and_the_fix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rules.db"
    database = Database(sqlite_url(path), name="rules", migrations="monitors.rules.migrations")
    database.upgrade()
    connection = sqlite3.connect(path)
    connection.execute("pragma wal_checkpoint(truncate)")
    (page,) = connection.execute("select rootpage from sqlite_master where name = 'rules'").fetchone()
    (size,) = connection.execute("pragma page_size").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)

    async def main(_: asyncio.Event) -> None:
        await database.read(of_all(lambda session: session.execute(rules.select()).all()))

    assert run_until_closed(main) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"monitors: the database {path} can't be used")
    assert "restore a backup" in told
    database.close()


def test_a_fault_of_ours_is_not_hidden() -> None:
    async def main(_: asyncio.Event) -> None:
        raise ValueError("ours")

    with pytest.raises(ValueError, match="ours"):
        run_until_closed(main)


@pytest.mark.parametrize("service", ["evaluator", "notifier"])
def test_a_service_that_isnt_told_where_rule_service_is_doesnt_ask_itself(
    service: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = load_settings({"MONITORS_HOME": str(tmp_path), "MONITORS_SERVICE_TOKEN": "token"})
    assert run_serve(settings, service) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"monitors: MONITORS_RULES_ADDRESS is not set; the {service} needs")
    assert "host:port" in said
