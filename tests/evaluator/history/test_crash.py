"""Sealing that is interrupted: by a kill, by a fault of the database, in a database of an older version."""

import random
import sqlite3
import struct
import subprocess
import sys
import threading
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError

from monitors.evaluator.store import Store
from monitors.mesh.database import sqlite_url
from monitors.mesh.times import HOUR
from tests.evaluator.history.parts import SERIES, START, floats, last_written, opened
from tests.evaluator.history.sealer import POINTS
from tests.harness import LoopThread

KILLS = 6


async def counts(store: Store) -> Counter[int]:
    """How many points of each batch there are; the points' values tell."""
    return Counter([int(value) async for batch in store.read_window(0, 10**9) for value in batch.values.tolist()])


def run_and_kill(folder: Path, random: random.Random) -> int:
    """Has a process write and seal, kills it while it seals for the second or third time, and gives its last batch."""
    arguments = [sys.executable, "-m", "tests.evaluator.history.sealer", str(folder)]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    durable, sealings = 0, random.randint(2, 3)
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, number = line.partition(" ")
            if word == "durable":
                durable = int(number)
            else:
                sealings -= 1
                if not sealings:
                    # A moment somewhere between reading, compressing, writing and the next batch.
                    threading.Event().wait(random.uniform(0, 0.015))
                    process.kill()
        # What it printed before it died was read as well.
    return durable


@pytest.mark.process
def test_a_kill_in_the_middle_of_sealing_loses_and_doubles_nothing(loop_thread: LoopThread, folder: Path) -> None:
    chance = random.Random(1)
    for _ in range(KILLS):
        durable = run_and_kill(folder, chance)
        with loop_thread.opened(opened(folder)) as store:
            found, last = loop_thread.run(counts(store)), loop_thread.run(store.newest_batch())
        assert last in (durable, durable + 1)
        assert found == dict.fromkeys(range(1, last + 1), POINTS)


def test_a_fault_of_the_database_in_the_middle_of_sealing_changes_nothing(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.blocks.ordering.BLOCK_POINTS", 2)

    async def seal(store: Store) -> bool:
        return await store.seal_closed(START + 2 * HOUR, 2)

    async def fill(store: Store) -> None:
        await store.append(SERIES, START, floats((1, 1.0), (2, 1.0), (3, 1.0)))
        await store.append([], START, floats((4, 2.0), (5, 2.0)))

    with loop_thread.opened(opened(folder)) as store:
        loop_thread.run(fill(store))
        with closing(sqlite3.connect(folder / "samples.db")) as connection:
            connection.execute(
                "create trigger fault before insert on blocks when new.id = 2 begin select raise(abort, 'fault'); end"
            )
            with pytest.raises(DatabaseError, match="fault"):
                loop_thread.run(seal(store))
            assert loop_thread.run(counts(store)) == {1: 3, 2: 2}
            connection.execute("drop trigger fault")
        assert loop_thread.run(seal(store))
        assert loop_thread.run(counts(store)) == {1: 3, 2: 2}


def migrate(path: Path, revision: str) -> None:
    """Makes the schema of an older version."""
    config = Config()
    config.set_main_option("script_location", "services/monitors/mesh/migrations")
    config.set_main_option("version_locations", "services/monitors/evaluator/migrations")
    config.set_main_option("path_separator", "newline")
    engine = create_engine(sqlite_url(path))
    with engine.begin() as connection:
        config.attributes |= {"connection": connection, "version_table": "alembic_version"}
        command.upgrade(config, revision)
    engine.dispose()


def test_a_database_without_blocks_is_taken_over_with_its_points(loop_thread: LoopThread, tmp_path: Path) -> None:
    migrate(tmp_path / "samples.db", "0001")
    raw = struct.pack("<II2i2q2d", 2, 0, 0, 0, START, START + 1, 1.5, 2.5)
    parts = struct.pack("<6q", 1, START, 1, 2, START, 1)
    with closing(sqlite3.connect(tmp_path / "samples.db")) as connection, connection:
        connection.execute("insert into series values ('acme', 0, 'web', 'm', 'x', ?, 1)", (b"[]",))
        row = (2, 1, START, START, START + 1, 2, 1, parts, raw)
        connection.execute(f"insert into batches values ({','.join('?' * len(row))})", row)
        connection.execute("insert into newest values (1, 0, 1, ?)", (struct.pack("<II", 0, 0),))

    async def use(store: Store) -> None:
        assert await store.newest_batch() == 2
        assert [batch.values.tolist() async for batch in store.batches_after(1)] == [[2.5]]
        expected = last_written(floats((START, 1.5), (START + 1, 2.5)))
        assert last_written(await store.read_series([0], 0, 2 * START)) == expected
        assert await store.seal_closed(START + 2 * HOUR, 2)
        assert last_written(await store.read_series([0], 0, 2 * START)) == expected

    with loop_thread.opened(opened(tmp_path)) as store:
        loop_thread.run(use(store))
