"""How much property tests try: a little with every run of the tests, as much as is asked for with `make fuzz`.

Each run tries other examples, so that what one run doesn't find another one does; `make fuzz` is what searches.
"""

import os

from hypothesis import HealthCheck, settings

WHOLE = 2000
"""Of so many examples `share` says how many are a test's."""
ORDINARY = 800
"""How many examples all tests that are fuzzed try together, unless MONITORS_FUZZ_EXAMPLES says otherwise."""


def share(examples: int) -> settings:
    """Settings for a test that tries so many of every WHOLE examples."""
    asked = int(os.environ.get("MONITORS_FUZZ_EXAMPLES", ORDINARY))
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(
        max_examples=max(1, asked * examples // WHOLE), deadline=None, print_blob=True, suppress_health_check=slow
    )
