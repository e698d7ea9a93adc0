"""Tenants of a RuleService that runs as in the product."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from monitors.mesh.config import LOCAL_TENANT
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIELDS
from tests.rules.client import Client as Tenant
from tests.rules.running import Running


@contextmanager
def tenant_of(service: Running, loop_thread: LoopThread) -> Iterator[Tenant]:
    """A new tenant, and RuleService as it and the mesh call it."""
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        yield Tenant.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)


@contextmanager
def local_tenant_of(service: Running, loop_thread: LoopThread) -> Iterator[Tenant]:
    """The local tenant, whose key outlives a restart."""
    with grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel:
        tenant = Tenant(RuleServiceStub(channel), LOCAL_TENANT, service.local_key, service.rules, loop_thread)
        tenant.report("mon_host", FIELDS)
        yield tenant
