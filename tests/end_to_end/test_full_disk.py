"""A disk that fills up under a running mesh: refusals say so, nothing accepted is lost, and it goes on by itself."""

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from tests import forked
from tests.processes import BIN, MeshProcess, receiver, wait_for
from tests.small_disk import NO_MOUNT, Disk, can_mount

DISK_MEGABYTES = 12
FULL = "the disk is full: free some space"


pytestmark = pytest.mark.skipif(not can_mount(), reason=NO_MOUNT)


@contextmanager
def mesh_on_a_small_disk(home: Path, environment: dict[str, str], folder: Path) -> Iterator[tuple[MeshProcess, Disk]]:
    """Runs a mesh in a mount namespace, where `folder` is a disk of a few megabytes."""
    mount = f'mount -t tmpfs -o size={DISK_MEGABYTES}m tmpfs "$0" && exec "$@"'
    mesh = MeshProcess(home, "--no-host", environment=environment)
    mesh.start(["unshare", "--mount", "--map-root-user", "sh", "-c", mount, str(folder)])
    try:
        yield mesh, Disk(Path(f"/proc/{mesh.pid}/root") / folder.relative_to("/"))
    finally:
        code = mesh.stop()
    assert code == 0, "".join(mesh.output[-50:])


def write(mesh: MeshProcess, key: str, line: str) -> tuple[int, str]:
    """Writes a line of line protocol; returns the status and what is said."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write", line.encode(), {"Authorization": f"Token {key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def command(mesh: MeshProcess, key: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `monitors …` with the key, since the key's file is out of sight."""
    environment = {**mesh.client_environment, "MONITORS_KEY": key}
    return forked.run(*arguments, environment=environment)


def until_refused(
    mesh: MeshProcess, key: str, arguments: Callable[[int], Sequence[str]]
) -> "subprocess.CompletedProcess[str]":
    """Runs a command, with a number that counts up, as often as the log's file has room for what it writes: once it was
    copied, it's written over."""
    done = (command(mesh, key, *arguments(number)) for number in count())
    return next(one for one in done if one.returncode)


def test_a_full_disk_refuses_in_plain_words_and_is_over_when_there_is_room(tmp_path: Path) -> None:
    with receiver() as hook, mesh_on_a_small_disk(tmp_path, {}, tmp_path) as (mesh, disk):
        key = (disk.folder / "key").read_text().strip()
        assert write(mesh, key, "room,monitor_id=room c=20")[0] == 204
        assert command(mesh, key, "channels", "create", "ops", "--webhook", hook.url).returncode == 0
        rule = ("--monitor", "room", "--title", "Hot", "--when", "c > 30", "--notify", "ops")
        assert command(mesh, key, "rules", "create", *rule).returncode == 0

        disk.fill()
        # What is left in the log's file may take some more.
        many = "\n".join(f"room,monitor_id=room c=20 {time.time_ns() - 10**9 + place}" for place in range(2_000))
        wait_for(lambda: write(mesh, key, many)[0] == 503, "a refusal")
        status, said = write(mesh, key, many)
        assert status == 503
        assert FULL in said
        never = ("--monitor", "room", "--title", "Never", "--when", "c > 1000")
        assert FULL in until_refused(mesh, key, lambda _: ("rules", "create", *never)).stderr
        another = ("--webhook", hook.url)
        assert FULL in until_refused(mesh, key, lambda number: ("channels", "create", f"n{number}", *another)).stderr
        assert FULL in command(mesh, key, "status").stderr
        assert command(mesh, key, "alerts", "list").returncode == 0
        assert not hook.deliveries

        disk.free()
        assert write(mesh, key, "room,monitor_id=room c=50")[0] == 204
        (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the alert after the disk was full")
        assert firing.event["data"]["value"] == 50.0
        wait_for(lambda: command(mesh, key, "status").returncode == 0, "a mesh that is well again")


def test_what_breaks_a_rule_while_alerts_cannot_be_stored_is_told_once_there_is_room(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    environment = {"DATABASE_URL": f"sqlite:///{small / 'rules.db'}"}
    with receiver() as hook, mesh_on_a_small_disk(tmp_path / "home", environment, small) as (mesh, disk):
        assert write(mesh, mesh.key, "room,monitor_id=room c=20")[0] == 204
        assert mesh.command("channels", "create", "ops", "--webhook", hook.url).returncode == 0
        rule = ("--monitor", "room", "--title", "Hot", "--when", "c > 30", "--notify", "ops")
        assert mesh.command("rules", "create", *rule).returncode == 0

        disk.fill()
        # What is left in the log's file may take some more.
        another = ("--monitor", "room", "--title", "Boiling", "--when", "c > 1000", "--notify", "ops")
        wait_for(lambda: mesh.command("rules", "create", *another).returncode != 0, "a refusal", seconds=90)
        assert write(mesh, mesh.key, "room,monitor_id=room c=40")[0] == 204
        wait_for(lambda: mesh.command("status").returncode != 0, "the problem in the status")
        assert not hook.deliveries

        disk.free()
        (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the alert from while the disk was full")
        assert firing.event["data"]["value"] == 40.0
        (alert,) = mesh.json("alerts", "list")["alerts"]
        assert (alert["state"], alert["value"]) == ("firing", 40.0)


def test_a_mesh_that_starts_on_a_full_disk_names_the_file_and_the_fix(tmp_path: Path) -> None:
    mount = 'mount -t tmpfs -o size=1m tmpfs "$0" && exec "$@"'
    environment = {**os.environ, "MONITORS_HOME": str(tmp_path), "MONITORS_GRPC_PORT": "0", "MONITORS_HTTP_PORT": "0"}
    fill = 'head -c 900000 /dev/zero > "$MONITORS_HOME/filler"; exec "$0" up --no-host'
    prefix = ["unshare", "--mount", "--map-root-user", "sh", "-c", mount, str(tmp_path)]
    ended = subprocess.run(
        [*prefix, "sh", "-c", fill, str(BIN / "monitors")], env=environment, capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
    assert ended.stderr.startswith(f"monitors: the database {tmp_path}/")
    assert "disk is full" in ended.stderr
