"""When deliveries go that are told together with others: by their group, or in a storm by the channel's digest."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import bindparam, update
from sqlalchemy.orm import Session

from monitors.mesh.rows import change_rows, in_parts
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Arrival, Planned, State
from monitors.notifier.model.flushing import Group, admit, group_key, is_urgent
from monitors.notifier.model.grouping import GroupBy
from monitors.notifier.model.message import Kind
from monitors.notifier.model.storm import Storm, admit_to_digest, after_arrivals, digest_key, goes_alone
from monitors.notifier.store import groups, storms
from monitors.notifier.store.named import Key, stream_of
from monitors.notifier.store.tables import deliveries

Times = dict[tuple[str, str], tuple[str, int]]
"""Group and time of what is sent, by notification and id of the channel. What isn't in it goes alone, at once."""

_HURRY = (
    update(deliveries)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.stream_key.in_(bindparam("streams", expanding=True)),
        deliveries.c.state == int(State.PENDING),
        deliveries.c.attempt_count == 0,
        deliveries.c.next_at > bindparam("now"),
    )
    .values(next_at=bindparam("now"))
)


class Timing:
    """Decides for what comes `now`. Of channels whose receivers group by themselves it asks nothing."""

    def __init__(self, session: Session, planned: Sequence[tuple[Arrival, Sequence[Planned]]], now: int) -> None:
        self._session = session
        self._now = now
        self._news = [
            (arrival, one.channel)
            for arrival, plans in planned
            for one in plans
            if one.channel and one.state is State.PENDING and arrival.alert_id
            if one.channel.grouping.by is not GroupBy.ALONE or one.channel.grouping.digest_above
        ]
        self._groups: dict[groups.Key, Group] = {}
        self._storms: dict[Key, Storm] = {}

    def decide(self) -> Times:
        """When each goes. What was waiting may have to go earlier or later: it's changed."""
        if not self._news:
            return {}
        before = self._count()
        keys = {(arrival.tenant, group_key(arrival, channel.id, channel.grouping)) for arrival, channel in self._news}
        digests = {(tenant, digest_key(channel)) for (tenant, channel), one in self._storms.items() if self._rages(one)}
        known = groups.load(self._session, {key for key in keys | digests if key[1]})
        self._groups = dict(known)
        times = {
            (arrival.notification_id, channel.id): self._place(arrival, channel) for arrival, channel in self._news
        }
        groups.save(self._session, known, self._groups, self._now)
        storms.save(self._session, before, self._storms)
        self._absorb(before)
        return times

    def _absorb(self, before: Mapping[Key, Storm]) -> None:
        """Where a storm has begun, what waits goes with the digest."""
        for key, storm in self._storms.items():
            if self._rages(storm) and not self._rages(before.get(key, Storm())):
                digest = key[0], digest_key(key[1])
                # If all that has come goes alone, what waits isn't held up by a digest that nobody planned.
                if digest in self._groups:
                    storms.absorb(self._session, key, digest[1], self._groups[digest].flush_at)

    def _rages(self, storm: Storm) -> bool:
        return storm.rages(self._now)

    def _count(self) -> dict[Key, Storm]:
        """Counts what has come for each channel that may storm. Returns how it was before."""
        above = {(channel.tenant, channel.id): channel.grouping.digest_above for _, channel in self._news}
        count = Counter((channel.tenant, channel.id) for _, channel in self._news)
        wary = {key: limit for key, limit in above.items() if limit}
        before = storms.load(self._session, wary) if wary else {}
        self._storms = {
            key: after_arrivals(before.get(key, Storm()), count[key], limit, self._now) for key, limit in wary.items()
        }
        return before

    def _place(self, arrival: Arrival, channel: Channel) -> tuple[str, int]:
        of_channel = channel.tenant, channel.id
        storm = self._storms.get(of_channel, Storm())
        if self._rages(storm):
            if goes_alone(storm, arrival, channel.kind):
                self._storms[of_channel] = replace(storm, singles=storm.singles + 1)
                return "", self._now
            key = channel.tenant, digest_key(channel.id)
            send_at, self._groups[key] = admit_to_digest(self._groups.get(key, Group()), channel.grouping, self._now)
            return key[1], send_at
        key = channel.tenant, group_key(arrival, channel.id, channel.grouping)
        if not key[1]:
            return "", self._now
        send_at, self._groups[key] = admit(self._groups.get(key, Group()), arrival, channel.grouping, self._now)
        return key[1], send_at

    def hurry(self, times: Times) -> None:
        """Lets nothing that is urgent wait for something earlier of its stream that waits for others of its group. An
        end doesn't hurry: it's told along with its firing."""
        hurried: dict[str, dict[str, None]] = {}
        for arrival, channel in self._news:
            goes_now = times[arrival.notification_id, channel.id][1] <= self._now
            if goes_now and arrival.kind is not Kind.RESOLVED and is_urgent(arrival, channel.grouping):
                hurried.setdefault(arrival.tenant, {})[stream_of(channel.id, arrival.stream_key)] = None
        for tenant, keys in hurried.items():
            for part in in_parts(list(keys)):
                change_rows(self._session, _HURRY, {"tenant": tenant, "streams": part, "now": self._now})
