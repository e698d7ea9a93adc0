"""How much property tests try: a little with every run of the tests, as much as is asked for with `make fuzz`."""

import os

from hypothesis import HealthCheck, settings

ORDINARY = 2000
"""How many examples all tests that are fuzzed try together, unless MONITORS_FUZZ_EXAMPLES says otherwise."""


def share(examples: int) -> settings:
    """Settings for a test that tries so many of the ORDINARY examples, or as many of those that were asked for."""
    asked = int(os.environ.get("MONITORS_FUZZ_EXAMPLES", ORDINARY))
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=max(1, asked * examples // ORDINARY), deadline=None, print_blob=True, suppress_health_check=slow
    )
