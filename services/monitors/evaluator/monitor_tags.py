"""By which tag lines name their monitors, so that what is written on looks as it came."""

from typing import NamedTuple

from monitors.evaluator.lines import MONITOR_TAGS, Head
from monitors.evaluator.model.series import SeriesKey

USUAL = MONITOR_TAGS[0]
MOST_OF_TENANT = 200_000
"""How many of a tenant's are remembered; monitors of further ones are named in the usual way, which means the same."""


class _Heading(NamedTuple):
    measurement: str
    monitor: str


class MonitorTags:
    """What was seen in lines: only what isn't usual is kept. Several threads may use it."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[_Heading, str]] = {}

    def learn(self, tenant: str, head: Head) -> None:
        """Takes note of a head that was read."""
        seen, heading = self._seen.setdefault(tenant, {}), _Heading(head.measurement, head.monitor)
        if head.named_by == USUAL:
            seen.pop(heading, None)
        elif len(seen) < MOST_OF_TENANT:
            seen[heading] = head.named_by

    def of(self, key: SeriesKey) -> str:
        """The tag that names a series' monitor; empty if its measurement does."""
        known = self._seen.get(key.tenant, {}).get(_Heading(key.measurement, key.monitor), USUAL)
        # A tag `host` beside it is a series' own only where another one names the monitor.
        return USUAL if any(name in MONITOR_TAGS for name, _ in key.tags) else known
