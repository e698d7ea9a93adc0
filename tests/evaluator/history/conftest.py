"""A folder for a store."""

import shutil
from pathlib import Path

import pytest

from tests.evaluator.history.parts import open_database


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database without points, to be copied: that's ten times faster than to migrate one."""
    folder = tmp_path_factory.mktemp("empty")
    database = open_database(folder)
    database.upgrade()
    database.close()
    return folder / "samples.db"


@pytest.fixture
def folder(tmp_path: Path, empty_database: Path) -> Path:
    """Where a store is opened, and opened again."""
    shutil.copy(empty_database, tmp_path)
    return tmp_path
