"""Fixtures that every test may use."""

import gc
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext

import pytest
from hypothesis import settings

from tests.harness import LoopThread
from tests.schemas import copied, is_about_schemas
from tests.servers.backends import ON_SERVERS
from tests.servers.mariadb import quick_connections
from tests.servers.twice import is_another_on_servers

# How fast the machine is says nothing about the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

LONGEST_FIRST = ("soak", "end_to_end", "bridge", "servers", "app")
"""Folders whose files take long, whose tests start processes."""
MAY_NOT_SKIP = bool(os.environ.get("MONITORS_TESTS_MAY_NOT_SKIP"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no core is idle at the end. On servers, only those tests run that are
    others there."""
    root = config.rootpath / "tests"

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(root).parts[0]
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)
    if not ON_SERVERS:
        return
    same = [item for item in items if not is_another_on_servers(item)]
    config.hook.pytest_deselected(items=same)
    items[:] = [item for item in items if item not in set(same)]


def pytest_collection_finish() -> None:
    """What is there now stays to the end: the collector needn't walk half a million objects of it again and again."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def connections() -> Iterator[None]:
    """Connections to MariaDB cost no more than they have to."""
    with quick_connections():
        yield


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    """An event loop in a thread, on which real servers run."""
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="module", autouse=True)
def tables(request: pytest.FixtureRequest) -> Iterator[None]:
    """New files get their tables as copies, but where tests are about how tables are made."""
    with nullcontext() if is_about_schemas(request.path) else copied():
        yield


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line with what the test has counted or measured; it's printed at the end of the run."""
    return lambda line: record_property("figure", line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is installed, a skipped test is a failure."""
    report = yield
    if MAY_NOT_SKIP and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be skipped: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints what tests found out by counting or measuring: the lines that they gave to `figure`."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    figures = [value for report in reports for name, value in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
    for figure in figures:
        terminalreporter.write_line(str(figure))
