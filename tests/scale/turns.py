"""How the calls of evaluators are spread over the replicas of RuleService, by what these export as metrics."""

import re
import urllib.request
from collections.abc import Sequence

METHODS = ("LeaseShards", "RecordTransitions", "SaveShardState", "ReportSeries")
_COUNTED = re.compile(r'^grpc_server_handled_total\{.*grpc_method="(\w+)".*\} ([0-9.e+]+)$', re.MULTILINE)


def calls(addresses: Sequence[str]) -> list[int]:
    """How many calls of evaluators each has answered since its start."""
    return [sum(int(float(count)) for name, count in _counted(address) if name in METHODS) for address in addresses]


def check_turns(before: Sequence[int], after: Sequence[int]) -> list[float]:
    """S4: each replica has answered at least a third of the calls between; they take turns, but not in step. Gives the
    shares. Raises AssertionError."""
    between = [late - early for early, late in zip(before, after, strict=True)]
    shares = [count / max(1, sum(between)) for count in between]
    assert min(shares) * len(shares) >= 2 / 3, f"S4: the replicas of RuleService have answered {between} calls"
    return shares


def _counted(address: str) -> list[tuple[str, str]]:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        found: list[tuple[str, str]] = _COUNTED.findall(answer.read().decode())
    return found
