"""A database on the shared server."""

from pathlib import Path

import pytest

from tests.servers.backends import server_database_url


@pytest.fixture
def rules_url(tmp_path: Path) -> str:
    """The URL of a new database with RuleService's tables, on MariaDB."""
    return server_database_url(tmp_path / "rules.db")
