"""What may be sent at once: places on the way to each channel, and tokens of its endpoint and its tenant."""

from dataclasses import dataclass, field

from monitors.notifier.model.channel import Channel
from monitors.notifier.model.message import Severity
from monitors.notifier.model.places import Key, Places
from monitors.notifier.model.rates import Endpoint, Rates, Tokens
from monitors.notifier.model.targets import host_of
from monitors.notifier.model.turns import Lane, Turns


@dataclass
class Room:
    """The room of one step of the delivery loop, at `now`."""

    turns: Turns
    places: Places
    rates: Rates
    tokens: Tokens
    now: int
    upcoming: int | None = None
    """When something is due that isn't yet, as far as is known."""
    exhausted: dict[str, str] = field(default_factory=dict)
    """The tenants for which something waits that goes beyond their tier, and what that allows."""
    _endpoints: dict[tuple[Key, bool], tuple[Endpoint, ...]] = field(default_factory=dict)

    def lane(self, channel: Channel, severity: int, since: int, *, is_tried: bool) -> Lane:
        """The lane of what is due for a channel. `is_tried` says that it had failed."""
        bounds = self.places.bounds((channel.tenant, channel.id), host_of(channel.target), is_tried=is_tried)
        is_critical = severity >= Severity.CRITICAL
        for endpoint in self.endpoints(channel, is_critical=is_critical):
            bounds["bucket", endpoint.key] = self.tokens.left(endpoint, self.now)
        if not all(bounds["bucket", one.key] for one in self.rates.allowed(channel, is_critical=is_critical)):
            self.exhausted[channel.tenant] = self.rates.words(channel)
        for bound, left in bounds.items():
            self.turns.limit(bound, left)
        return Lane(channel.tenant, channel.id, severity, since, tuple(bounds))

    def look_again(self, time: int | None) -> None:
        """Something is due at a time, if it's one."""
        if time is not None:
            self.upcoming = time if self.upcoming is None else min(time, self.upcoming)

    def endpoints(self, channel: Channel, *, is_critical: bool) -> tuple[Endpoint, ...]:
        """The buckets that a message to a channel takes a token of."""
        key = (channel.tenant, channel.id), is_critical
        if key not in self._endpoints:
            self._endpoints[key] = self.rates.of(channel, is_critical=is_critical)
        return self._endpoints[key]

    def next_token(self) -> int | None:
        """When one of the buckets that were looked at and are empty has a token again; None if none is empty."""
        empty = (
            self.tokens.next_at(endpoint, self.now) for endpoints in self._endpoints.values() for endpoint in endpoints
        )
        return min((time for time in empty if time > self.now), default=None)
