"""How e-mail addresses stand with their tenants, at rest."""

import hmac
import secrets
from collections.abc import Sequence
from dataclasses import asdict, fields, replace

from sqlalchemy import delete
from sqlalchemy.orm import Session

from monitors.mesh.secrets import Sealer
from monitors.mesh.times import DAY
from monitors.notifier.mail_links import mark
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.targets import EmailTarget, Target
from monitors.notifier.model.verification import Standing, new_code, settle
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.tables import AddressRow

KEPT = 7 * DAY
"""How long it's remembered that somebody was asked who never answered."""
_FIELDS = tuple(field.name for field in fields(Standing))


class AddressStore:
    """Reads and writes standings. Whoever changes some holds the lock of the tenant's channels."""

    def __init__(self, sealer: Sealer, channels: ChannelStore) -> None:
        self._sealer = sealer
        self._channels = channels

    def _mark(self, tenant: str, address: str) -> str:
        """What stands for an address of a tenant."""
        return mark(self._sealer, tenant, address)

    def get(self, session: Session, tenant: str, address: str) -> Standing:
        """How an address stands."""
        row = session.get(AddressRow, (tenant, self._mark(tenant, address)))
        return Standing(**{name: getattr(row, name) for name in _FIELDS}) if row else Standing()

    def put(self, session: Session, tenant: str, address: str, standing: Standing) -> None:
        """Changes how an address stands."""
        row = AddressRow(tenant_id=tenant, mark=self._mark(tenant, address), **asdict(standing))
        session.merge(row)
        session.flush()

    def forget_old(self, session: Session, tenant: str, now: int) -> None:
        """Forgets those who were asked and never answered, so that no tenant can fill the table with others'."""
        session.execute(
            delete(AddressRow).where(
                AddressRow.tenant_id == tenant,
                AddressRow.verified_at == 0,
                AddressRow.unsubscribed_at == 0,
                AddressRow.sent_at < now - KEPT,
            )
        )

    def settled(self, session: Session, channel: Channel, current: Target | None = None) -> Channel:
        """The channel with the addresses that wait, where `current` is what its target was."""
        if not isinstance(channel.target, EmailTarget):
            return channel
        received: set[str] | None = None

        def knows(address: str) -> bool:
            nonlocal received
            standing = self.get(session, channel.tenant, address)
            if standing.verified_at or standing.unsubscribed_at:
                return bool(standing.verified_at)
            if received is None:
                # Of channels that are older than verification nothing else is stored.
                received = self._received(session, channel.tenant)
            return address.lower() in received

        return replace(channel, target=settle(channel.target, current, knows))

    def _received(self, session: Session, tenant: str) -> set[str]:
        targets = (one.target for one in self._channels.list_all(session, tenant))
        return {one.lower() for target in targets if isinstance(target, EmailTarget) for one in target.receiving}

    def make_code(self, session: Session, tenant: str, address: str, now: int) -> tuple[str, str]:
        """Makes a code for an address, in place of another. Gives its id and itself: only its hash is stored."""
        code, code_id = new_code(), secrets.token_urlsafe(12)
        standing = self.get(session, tenant, address)
        self.put(session, tenant, address, standing.with_code(code_id, self._hash(code_id, code), now))
        return code_id, code

    def _hash(self, code_id: str, code: str) -> str:
        return self._sealer.digest("verification code", f"{code_id}\0{code}").hex()

    def find(self, session: Session, tenant: str, addresses: Sequence[str], code: str, now: int) -> str | None:
        """The address that a code was mailed to; None if it's none of theirs, which counts as a try of each."""
        open_ones = {one: each for one in addresses if (each := self.get(session, tenant, one)).awaits(now)}
        hashes = {one: self._hash(each.code_id, code) for one, each in open_ones.items()}
        for one, hashed in hashes.items():
            if hmac.compare_digest(hashed, open_ones[one].code_hash):
                return one
        for one, each in open_ones.items():
            self.put(session, tenant, one, replace(each, tries=each.tries + 1))
        return None
