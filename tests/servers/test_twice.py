"""Which tests a run on servers leaves out, since they'd do the same there."""

import pytest

from tests.servers.twice import leads_to_the_switch


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tests.servers.backends", "addresses"),
        ("tests.processes", "running_mesh"),
        ("tests.end_to_end.test_first_alert", "mesh"),
        ("tests.bridge.app.conftest", "service"),
        ("tests.tenancy.world", "open_world"),
    ],
)
def test_what_starts_a_service_on_the_tests_backend_is_another_on_servers(module: str, name: str) -> None:
    assert leads_to_the_switch((module, name))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("tests.processes", "wait_for"),
        ("tests.bridge.conftest", "answer_of"),
        ("tests.rules.test_fuzzed_conditions", "test_canonical_text_reads_back_as_the_same_condition"),
        # On a server, whatever the backend.
        ("tests.servers.backends", "server_database_url"),
        ("tests.end_to_end.test_influxdb", "influxdb_1"),
    ],
)
def test_what_does_not_is_the_same(module: str, name: str) -> None:
    assert not leads_to_the_switch((module, name))


def test_who_asks_for_fixtures_by_name_may_mean_any() -> None:
    assert leads_to_the_switch(("tests.evaluator.sources.conftest", "database"))
