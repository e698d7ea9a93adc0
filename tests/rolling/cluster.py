"""Two pods of each part of the mesh, replaced as a Deployment replaces them.

Who calls by gRPC finds pods as in a cluster: by a headless Service's name, which a DNS server of the test's answers
with the addresses of those that are ready. Who calls by HTTP has one address, a Service's own, whose connections a
balancer of the test's brings to those that are ready.
"""

import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.deploy.pods import HTTP_PORTS, SERVED, START_SECONDS, Container, Pods
from tests.harness import LoopThread
from tests.names import Names, serving_names
from tests.processes import BIN, wait_for
from tests.rolling.balancer import Balancer

PARTS = (*SERVED, "bridge")
REPLICAS = 2


class Cluster:
    """The pods that there are. A pod that ends has `pre_stop` seconds after it has left its Services' addresses."""

    def __init__(
        self, folder: Path, names: Names, secrets: Mapping[str, str], extra: Mapping[str, str], pre_stop: float
    ) -> None:
        self.pods = Pods("mesh-mtls", folder, names, extra)
        self.secrets = dict(secrets)
        self.balancers = {part: Balancer(port) for part, port in HTTP_PORTS.items()}
        self._pre_stop = pre_stop
        self._running: dict[str, list[Container]] = defaultdict(list)
        self._ended: list[Container] = []

    def start(self) -> None:
        """Migrates the databases, then starts everything."""
        migrated = self.pods.container("migrate", self.secrets).run()
        assert migrated.returncode == 0, migrated.stderr
        for part in PARTS:
            self._running[part] = [self.pods.container(part, self.secrets) for _ in range(REPLICAS)]
            threads = [threading.Thread(target=pod.start) for pod in self._running[part]]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self._publish(part)
        for part in PARTS:
            for pod in self._running[part]:
                wait_for(pod.is_ready, f"{part} to be ready", START_SECONDS)

    def replace(self, part: str, pods: int = REPLICAS) -> None:
        """One pod after the other, or the first so many, none before its successor is ready, as with
        `maxUnavailable: 0`."""
        for old in self._running[part][:pods]:
            new = self.pods.container(part, self.secrets)
            self._running[part].append(new)
            new.start()
            wait_for(new.is_ready, f"a new {part} to be ready", START_SECONDS)
            self._running[part].remove(old)
            self._ended.append(old)
            self._publish(part)
            threading.Event().wait(self._pre_stop)
            old.stop()

    def renew_certificates(self) -> None:
        """Replaces all of them, as cert-manager does when they have lived for two thirds of their time."""
        for part in PARTS:
            self.pods.new_certificate(part)

    def run(self, part: str, *arguments: str) -> str:
        """What `monitors …` prints in a pod. Raises AssertionError if it fails."""
        done = self._running[part][0].run(str(BIN / "monitors"), *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def logs(self) -> str:
        """What all pods have written."""
        pods = [*self._ended, *(pod for part in PARTS for pod in self._running[part])]
        return "\n".join(f"--- {pod.command[-1]} {pod.address}\n{pod.log.read_text()}" for pod in pods)

    def _publish(self, part: str) -> None:
        ready = [pod for pod in self._running[part] if pod not in self._ended]
        self.pods.publish(part, *ready)
        if part in self.balancers:
            self.balancers[part].addresses = [pod.address for pod in ready]

    def kill(self) -> None:
        """Ends whatever runs."""
        for pods in (*self._running.values(), self._ended):
            for pod in pods:
                pod.kill()


@contextmanager
def cluster(
    folder: Path, loop: LoopThread, secrets: Mapping[str, str], extra: Mapping[str, str], pre_stop: float
) -> Iterator[Cluster]:
    """Runs one; nothing is started yet."""
    with serving_names() as names:
        made = Cluster(folder, names, secrets, extra, pre_stop)
        for balancer in made.balancers.values():
            loop.run(balancer.start())
        try:
            yield made
        finally:
            made.kill()
            for balancer in made.balancers.values():
                loop.run(balancer.stop())
