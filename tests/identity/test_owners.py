"""Whose a monitor is, by the table of the user system."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.config import TENANT
from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.existing import ExistingDatabase, is_tenant_of_user, tenant_of_user
from monitors.mesh.identity.owners import FRESH_SECONDS, STALE_SECONDS, MonitorsTable, NoOwners
from tests.harness import LoopThread
from tests.identity.user_system import UserTables, url_of


class Clock:
    """Seconds that go on when they are told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Opened:
    """The table with two monitors of two users, and one of nobody."""

    def __init__(self, url: str, loop: LoopThread) -> None:
        self.tables = UserTables(url)
        self.tables.add_monitor("mon_a", "user_a")
        self.tables.add_monitor("mon_b", "42")
        self.tables.add_monitor("mon_nobody", None)
        self.clock = Clock()
        self.table = MonitorsTable(ExistingDatabase(url), self.clock)
        self._loop = loop

    def owners(self, *ids: str) -> dict[str, str]:
        return dict(self._loop.run(self.table.owners(ids)))


@pytest.fixture(params=["sqlite", "mariadb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path, loop_thread: LoopThread) -> Opened:
    return Opened(url_of(request.param, tmp_path), loop_thread)


def test_an_id_that_a_database_takes_for_the_same_is_another(opened: Opened) -> None:
    assert opened.owners("MON_A", "mon_a ", "mon_a") == {"mon_a": "user_a"}


def test_a_monitor_belongs_to_its_users_tenant(opened: Opened) -> None:
    assert opened.owners("mon_a", "mon_b", "mon_a") == {"mon_a": "user_a", "mon_b": "user.42"}


def test_what_nobody_owns_is_not_in_the_answer(opened: Opened) -> None:
    assert opened.owners("mon_nobody", "mon_x", "") == {}


def test_many_more_ids_than_a_statement_takes_are_found(opened: Opened) -> None:
    assert opened.owners(*(f"mon_{number}" for number in range(40_000)), "mon_a") == {"mon_a": "user_a"}


def test_a_new_owner_is_seen_when_the_answer_is_no_longer_fresh(opened: Opened) -> None:
    assert opened.owners("mon_a", "mon_new") == {"mon_a": "user_a"}
    opened.tables.run("UPDATE monitors SET user_id = 'user_c' WHERE id = 'mon_a'")
    opened.tables.add_monitor("mon_new", "user_n")
    assert opened.owners("mon_a", "mon_new") == {"mon_a": "user_a"}
    opened.clock.now += FRESH_SECONDS + 1
    assert opened.owners("mon_a", "mon_new") == {"mon_a": "user_c", "mon_new": "user_n"}


def test_while_the_table_is_away_what_was_known_stands_for_an_hour_and_nothing_is_guessed(opened: Opened) -> None:
    assert opened.owners("mon_a") == {"mon_a": "user_a"}
    opened.tables.run("DROP TABLE monitors")
    opened.clock.now += FRESH_SECONDS + 1
    assert opened.owners("mon_a") == {"mon_a": "user_a"}
    with pytest.raises(IdentityUnavailable, match="user system"):
        opened.owners("mon_a", "mon_b")
    opened.clock.now += STALE_SECONDS
    with pytest.raises(IdentityUnavailable):
        opened.owners("mon_a")


def test_without_a_table_no_monitor_has_an_owner(loop_thread: LoopThread) -> None:
    assert loop_thread.run(NoOwners().owners(["mon_a"])) == {}


@given(st.text(max_size=60) | st.from_regex(r"user[_.-][A-Za-z0-9_.-]{0,45}", fullmatch=True))
def test_every_user_has_a_tenant_that_no_operator_gives_by_accident(user_id: str) -> None:
    tenant = tenant_of_user(user_id)
    assert TENANT.fullmatch(tenant)
    assert is_tenant_of_user(tenant)


_IDS = st.text(alphabet="user_.-1aA ", max_size=44)


@given(_IDS, _IDS)
def test_no_two_users_share_a_tenant(one: str, other: str) -> None:
    assert (tenant_of_user(one) == tenant_of_user(other)) == (one == other)
