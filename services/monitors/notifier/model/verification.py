"""Who is written to: an address that a channel names gets nothing until its owner has said yes, with a code that was
mailed to it alone, and nothing any more once they have unsubscribed.

What somebody has once said yes to holds for all channels of the tenant, and for no other tenant. Whoever has
unsubscribed is asked anew before anything is sent again.
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from monitors.mesh.ids import ALPHABET
from monitors.mesh.times import DAY, MINUTE
from monitors.notifier.model.targets import EmailTarget, Target

CODE_LENGTH = 8
"""40 bits, of which `MOST_TRIES` guesses find nothing."""
CODE_LIFETIME = DAY
MOST_TRIES = 5
PAUSE = MINUTE
"""How long to wait before another code is mailed to the same address."""
MOST_A_DAY = 5
"""How many codes a tenant has mailed to one address within a day."""


@dataclass(frozen=True)
class Standing:
    """How an address stands with a tenant. Times are nanoseconds since 1970, 0 where there is none."""

    verified_at: int = 0
    unsubscribed_at: int = 0
    code_id: str = ""
    """What the code's hash is made with besides; empty if no code is awaited."""
    code_hash: str = ""
    code_until: int = 0
    tries: int = 0
    """How many codes were wrong."""
    sent_at: int = 0
    day_start: int = 0
    sent_count: int = 0
    """How many codes were mailed since `day_start`."""

    def awaits(self, now: int) -> bool:
        """Whether there is a code that can still be entered."""
        return bool(self.code_id) and now < self.code_until and self.tries < MOST_TRIES

    def wait(self, now: int) -> int:
        """How long it takes until another code may be mailed, in nanoseconds; 0 if it may."""
        paused = self.sent_at + PAUSE - now if self.sent_at else 0
        full = self.day_start + DAY - now if self.sent_count >= MOST_A_DAY else 0
        return max(0, paused, full)

    def with_code(self, code_id: str, code_hash: str, now: int) -> "Standing":
        """The same once a new code has been made, which replaces another."""
        is_new_day = now >= self.day_start + DAY
        return replace(
            self,
            code_id=code_id,
            code_hash=code_hash,
            code_until=now + CODE_LIFETIME,
            tries=0,
            sent_at=now,
            day_start=now if is_new_day else self.day_start,
            sent_count=1 if is_new_day else self.sent_count + 1,
        )

    def verified(self, now: int) -> "Standing":
        """The same once the owner has said yes. The code is used up."""
        return replace(self, verified_at=now, unsubscribed_at=0, code_id="", code_hash="", code_until=0, tries=0)

    def unsubscribed(self, now: int) -> "Standing":
        """The same once the owner has said no."""
        return replace(self, verified_at=0, unsubscribed_at=now, code_id="", code_hash="", code_until=0, tries=0)


def new_code() -> str:
    """A code that a person can read out and type."""
    return "".join(secrets.choice(ALPHABET) for _ in range(CODE_LENGTH))


def shown(code: str) -> str:
    """The code as it's written down: `k7qf-2m9x`."""
    return f"{code[:4]}-{code[4:]}"


def read_code(text: str) -> str:
    """A code as a person has typed it: dashes, spaces and capitals don't count, and what looks alike is the same."""
    plain = "".join(text.split()).replace("-", "").lower()
    return plain.translate(str.maketrans("ilo", "110"))


def settle(target: EmailTarget, current: Target | None, knows: Callable[[str], bool]) -> EmailTarget:
    """The target with the addresses that wait. Those that the channel had stand as they stood; of others, `knows` says
    whether their owner has said yes."""
    waited: Collection[str] = ()
    gone: Collection[str] = ()
    received: Collection[str] = ()
    if isinstance(current, EmailTarget):
        waited, gone, received = (
            {one.lower() for one in part} for part in (current.waiting, current.unsubscribed, current.receiving)
        )
    unsubscribed = tuple([one for one in target.addresses if one.lower() in gone])
    waiting = tuple(
        [
            one
            for one in target.addresses
            if one.lower() not in gone and one.lower() not in received and (one.lower() in waited or not knows(one))
        ]
    )
    return replace(target, waiting=waiting, unsubscribed=unsubscribed)


def with_verified(target: EmailTarget, address: str) -> EmailTarget:
    """The target once an address that waits is verified."""
    return replace(target, waiting=tuple([one for one in target.waiting if one.lower() != address.lower()]))


def with_unsubscribed(target: EmailTarget, address: str) -> EmailTarget:
    """The target once an address has unsubscribed."""
    left = with_verified(target, address)
    gone = tuple([one for one in target.addresses if one.lower() == address.lower() and one not in target.unsubscribed])
    return replace(left, unsubscribed=(*left.unsubscribed, *gone))


def unheard_reason(target: Target, name: str) -> str:
    """Why a channel of this name has no address that is written to; empty if it has one, or isn't of e-mail."""
    if not isinstance(target, EmailTarget) or target.receiving:
        return ""
    if target.waiting:
        return (
            f"it waits for verification: {', '.join(target.waiting)} got a mail with a code, which "
            f"`monitors channels verify {name} CODE` takes; `--again` instead of the code mails another"
        )
    return "every address has unsubscribed; name others, or leave them out and add them again, which asks them anew"


def standing_words(target: Target, name: str) -> list[str]:
    """What the owner of a channel should know of its addresses."""
    if not isinstance(target, EmailTarget):
        return []
    words = []
    if target.waiting:
        words.append(
            f"{', '.join(target.waiting)}: nothing is sent there until it's verified. It gets a mail with a code, "
            f"unless it got several lately: enter it within a day with `monitors channels verify {name} CODE`"
        )
    if target.unsubscribed:
        words.append(
            f"{', '.join(target.unsubscribed)}: has unsubscribed from this channel and gets nothing; leave it out and "
            "add it again, and it's asked anew"
        )
    return words
