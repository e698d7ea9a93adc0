"""The app in a real browser, on the real bridge and the real RuleService."""

from collections.abc import Iterator

import grpc
import pytest
from playwright.sync_api import Browser

from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.app.installing import NotToBeHad, bundle_host
from tests.bridge.app.world import Hosts, launched
from tests.bridge.conftest import HttpBridge
from tests.harness import LoopThread
from tests.rules.client import Client
from tests.rules.running import Running, running


@pytest.fixture(scope="module")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One RuleService for all tests of a module; each test has a tenant of its own."""
    with loop_thread.opened(running(tmp_path_factory.mktemp("rules"))) as opened:
        yield opened


@pytest.fixture(scope="module")
def bridge_url(service: Running) -> Iterator[str]:
    bridge = HttpBridge(MONITORS_SERVER=f"127.0.0.1:{service.port}", MONITORS_KEY=service.local_key)
    yield bridge.url
    bridge.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    try:
        with launched() as browser:
            yield browser
    except NotToBeHad as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    try:
        return bundle_host(tmp_path_factory.mktemp("bundle"))
    except NotToBeHad as error:
        pytest.skip(str(error))


@pytest.fixture
def hosts(browser: Browser, bridge_url: str, script: str) -> Iterator[Hosts]:
    yield Hosts(browser, script, bridge_url)
    for context in browser.contexts:
        for page in context.pages:
            page.unroute_all(behavior="ignoreErrors")
        context.close()


@pytest.fixture
def client(service: Running, loop_thread: LoopThread) -> Iterator[Client]:
    """A client of a new tenant with the monitor `mon_host`."""
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)
