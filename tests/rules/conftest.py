"""A real RuleService on a real server, and its clients."""

from collections.abc import Iterator

import grpc
import pytest

from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import Client
from tests.rules.running import Running, running


@pytest.fixture(scope="package")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One RuleService for all tests; each test has a tenant of its own. It's the only one on its database, and looks
    for no changes of others."""
    with loop_thread.opened(running(tmp_path_factory.mktemp("rules"), poll_seconds=3600)) as opened:
        yield opened


@pytest.fixture(scope="package")
def stub(service: Running) -> Iterator[RuleServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield RuleServiceStub(channel)


@pytest.fixture
def client(stub: RuleServiceStub, service: Running, loop_thread: LoopThread) -> Client:
    """A client of a new tenant with the monitor `mon_host` and the channel `ops`."""
    return Client.of_new_tenant(stub, service.rules, loop_thread)
