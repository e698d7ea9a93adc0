"""What a Service's own address is in a cluster: connections go to its ready pods in turn, and stay where they are."""

import itertools
from collections.abc import Sequence

from tests.crash.proxy import FaultProxy


class Balancer(FaultProxy):
    """Forwards each new connection to the next of `addresses`."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.addresses: Sequence[str] = ()
        self._turns = itertools.count()

    def _target(self) -> tuple[str, int]:
        return self.addresses[next(self._turns) % len(self.addresses)], self._port
