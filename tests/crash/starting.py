"""Starts the mesh under test: its processes, the ledger behind it, and a fault proxy in each of its connections."""

import base64
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash import failpoints
from tests.crash.backends import Backends
from tests.crash.claude import Claude
from tests.crash.launcher import BREAK
from tests.crash.ledger import LedgerProcess
from tests.crash.load import Load, to_the_mesh
from tests.crash.operators import Operators, Replicas
from tests.crash.proxy import FaultProxy, started
from tests.crash.world import RECEIVER, TENANTS, WRITES, World
from tests.harness import LoopThread
from tests.served import ServedMesh, ServedProcess, free_port

BRIDGED = "rules for the bridge"
LAUNCHER = (sys.executable, "-m", "tests.crash.launcher")
KEYS = f"first:{base64.b64encode(b'0123456789abcdef' * 2).decode()}"


def _address(proxy: FaultProxy) -> str:
    return f"127.0.0.1:{proxy.port}"


@contextmanager
def running(
    home: Path, *, seed: int, loop: LoopThread, broken: str = "", monitors: int = 12, servers: Backends | None = None
) -> Iterator[World]:
    """A mesh with nothing written to it yet, in files of its own, or with two of what may be two on `servers`."""
    ledger = LedgerProcess(home / "ledger.jsonl", seed)
    mesh = ServedMesh(home, {}, LAUNCHER)
    processes = {process.service: process for process in mesh.processes}
    links = {"evaluator": "rules for the evaluator", "notifier": "rules for the notifier"}
    proxies = {
        RECEIVER: FaultProxy(ledger.port),
        WRITES: FaultProxy(mesh.http_port),
        "the evaluator": FaultProxy(mesh.evaluator.port),
        BRIDGED: FaultProxy(mesh.rules.port),
        **{name: FaultProxy(mesh.rules.port) for name in links.values()},
    }
    if servers:
        for service in ("rules", "notifier"):
            processes[f"{service} 2"] = ServedProcess(service, free_port(), {}, LAUNCHER)
        links["notifier 2"] = "rules 2 for notifier 2"
        proxies |= {links["notifier 2"]: FaultProxy(processes["rules 2"].port), **servers.proxies()}
    loop.run(started(*proxies.values()))
    points = home / "failpoints"
    points.mkdir(parents=True)
    for name, process in processes.items():
        process.environment = {
            **mesh.environment,
            "MONITORS_HOME": str(home / name.replace(" ", "-")) if name.endswith("2") else str(home),
            # The first of several makes the keys that are read below.
            "MONITORS_MAKE_FIRST_KEYS": "false" if name.endswith("2") else "true",
            "MONITORS_TENANTS": ",".join(TENANTS),
            "MONITORS_ALLOW_LOCAL_TARGETS": "1",
            "MONITORS_MASTER_KEYS": KEYS,
            "MONITORS_EVALUATOR_ADDRESS": _address(proxies["the evaluator"]),
            "MONITORS_RULES_ADDRESS": _address(proxies[links[name]]) if name in links else "127.0.0.1:1",
            BREAK: broken,
            failpoints.FOLDER: str(points),
            **(servers.environment(proxies) if servers else {}),
        }
    replicas = [
        Replicas(stub, [one.address for one in processes.values() if one.service == service], mesh.metadata)
        for stub, service in ((RuleServiceStub, "rules"), (NotifierServiceStub, "notifier"))
    ]
    server = {"MONITORS_SERVER": _address(proxies[BRIDGED]), "MONITORS_HOME": str(home / "bridge")}
    claude = Claude(TENANTS[0], lambda: {**server, "MONITORS_KEY": mesh.key(TENANTS[0])})
    try:
        ledger.start()
        for process in processes.values():
            process.launch()
        for process in processes.values():
            process.wait_until_ready()
        keys = {tenant: mesh.key(tenant) for tenant in TENANTS}
        load = Load(to_the_mesh(lambda: _address(proxies[WRITES]), keys), TENANTS, monitors, seed)
        operators = Operators(replicas[0], replicas[1], TENANTS, seed, without_acknowledging=claude.tenant)
        claude.open()
        yield World(mesh, processes, ledger, load, operators, claude, proxies, points, loop, servers)
    finally:
        claude.kill()
        for process in reversed(processes.values()):
            process.end()
        ledger.kill()
        for replica in replicas:
            replica.close()
        for proxy in proxies.values():
            loop.run(proxy.stop())
