"""What the notifier says of itself goes the way of all messages: as deliveries that wait."""

from collections.abc import Callable, Mapping, Sequence

from sqlalchemy.orm import Session

from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.model.breaker import FAILURES
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Arrival, Planned, State
from monitors.notifier.model.message import ABOUT_NO_ALERT
from monitors.notifier.model.notices import Notice, beyond_quota, given_up, listeners, turned_off
from monitors.notifier.store import arriving
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.claims import Finished

Compose = Callable[[Notice], Arrival]


class Notices:
    """Tells owners of channels how these fare."""

    def __init__(self, channels: ChannelStore) -> None:
        self._channels = channels
        self._told: dict[str, str] = {}
        """The last notice of each tenant that was told that it's beyond its quota."""

    @crosses_tenants("messages of all tenants are sent by one loop")
    def tell_of_quotas(self, session: Session, exhausted: Mapping[str, str], now: int, compose: Compose) -> bool:
        """Tells tenants for whom something waits beyond what is allowed, which stands beside each. Gives whether any is
        told that wasn't yet."""
        notices = [beyond_quota(tenant, allowed, now) for tenant, allowed in exhausted.items()]
        news = [notice for notice in notices if self._told.get(notice.tenant) != notice.id]
        for notice in news:
            others = listeners(self._channels.list_all(session, notice.tenant), "")
            planned = [Planned(each.name, each, State.PENDING) for each in others]
            arriving.insert_once(session, compose(notice), planned, now)
            self._told[notice.tenant] = notice.id
        return bool(news)

    @crosses_tenants("messages of all tenants are sent by one loop")
    def follow(self, session: Session, finished: Sequence[Finished], now: int, compose: Compose) -> None:
        """Tells what follows from attempts that have ended and are recorded."""
        ended = sorted(finished, key=lambda one: one.decision.state is State.DEAD)
        failed = {
            (one.claim.tenant, one.claim.channel.id): one
            for one in ended
            if one.outcome.kind in FAILURES or one.decision.state is State.DEAD
        }
        present = self._channels.find(session, failed.keys())
        for tenant in sorted({tenant for tenant, _ in failed}):
            channels: list[Channel] | None = None
            for key, one in failed.items():
                channel = present.get(key)
                is_off = channel is not None and bool(channel.unusable_reason) and not one.claim.channel.unusable_reason
                is_dead = one.decision.state is State.DEAD and one.claim.kind not in ABOUT_NO_ALERT
                if key[0] != tenant or channel is None or not (is_off or is_dead):
                    continue
                channels = channels or self._channels.list_all(session, tenant)
                notice = turned_off(channel, channels) if is_off else given_up(channel, one.outcome.detail, now)
                planned = [Planned(each.name, each, State.PENDING) for each in listeners(channels, channel.id)]
                arriving.insert_once(session, compose(notice), planned, now)
