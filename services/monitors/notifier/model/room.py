"""What may be sent at once: places on the way to each channel, and tokens of its endpoint and its tenant."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitors.notifier.model.channel import Channel
from monitors.notifier.model.rates import Endpoint, Rates, Tokens
from monitors.notifier.model.turns import Lane, Turns

Key = tuple[str, str]
"""A channel: its tenant and its id."""


@dataclass
class Room:
    """The room of one step of the delivery loop, at `now`. `sending` is how much is on its way to each channel."""

    turns: Turns
    sending: Mapping[Key, int]
    per_channel: int
    rates: Rates
    tokens: Tokens
    now: int
    upcoming: int | None = None
    """When something is due that isn't yet, as far as is known."""
    _endpoints: dict[Key, tuple[Endpoint, ...]] = field(default_factory=dict)

    def lane(self, channel: Channel, severity: int, since: int, *, is_tried: bool) -> Lane:
        """The lane of what is due for a channel. One that is tried again after it had failed gets a single attempt."""
        key = channel.tenant, channel.id
        place = "channel", "/".join(key)
        self.turns.limit(place, (1 if is_tried else self.per_channel) - self.sending.get(key, 0))
        for endpoint in self.endpoints(channel):
            self.turns.limit(("bucket", endpoint.key), self.tokens.left(endpoint, self.now))
        buckets = [("bucket", endpoint.key) for endpoint in self.endpoints(channel)]
        return Lane(channel.tenant, channel.id, severity, since, (place, *buckets))

    def look_again(self, time: int | None) -> None:
        """Something is due at a time, if it's one."""
        if time is not None:
            self.upcoming = time if self.upcoming is None else min(time, self.upcoming)

    def endpoints(self, channel: Channel) -> tuple[Endpoint, ...]:
        """The buckets that a message to a channel takes a token of."""
        key = channel.tenant, channel.id
        if key not in self._endpoints:
            self._endpoints[key] = self.rates.of(channel)
        return self._endpoints[key]

    def next_token(self) -> int | None:
        """When one of the buckets that were looked at and are empty has a token again; None if none is empty."""
        empty = (
            self.tokens.next_at(endpoint, self.now) for endpoints in self._endpoints.values() for endpoint in endpoints
        )
        return min((time for time in empty if time > self.now), default=None)
