"""Places on the way: how many attempts go on at once, so that no endpoint that is slow or dead takes those of others.

An attempt costs a little work at its beginning and its end, and hardly any while an answer is waited for. So what has
just begun is bounded for the work's sake, and what lingers is bounded separately, and only among those that linger: a
channel whose last message arrived always finds a place, however many others wait for endpoints that don't answer.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from monitors.mesh.times import SECOND
from monitors.notifier.model.turns import Bound

Key = tuple[str, str]
"""A channel: its tenant and its id."""

AT_ONCE = 128
"""How many attempts may be at their beginning. What is claimed together costs a single commit: with half as many, each
message of a storm takes a fifth more CPU. The last of them begins some 20 ms after the first."""
MOST = 800
"""How many go on in all: each takes a socket, and many a system gives a process no more than 1,024 files."""
KEPT_FREE = 264
"""So many of them are only for channels whose last message arrived."""
LINGERS = SECOND // 10
"""After so long an attempt is no more at its beginning."""
STALLS = 2 * SECOND
"""After so long it's no more taken for granted that the endpoint answers."""
PROVEN = 128
PROVEN_LINGERING = 64
"""A channel of which so many linger, as its endpoint is well but slow, gets no more."""
UNPROVEN = 4
TRIED = 1
LINGERING = 100
"""How many attempts may linger at one host, or for one tenant, before it gets no more of them."""


@dataclass(frozen=True)
class Attempt:
    """One that goes on since `since`, in nanoseconds since 1970."""

    channel: Key
    host: str
    since: int


class Places:
    """What goes on at `now`. `proven` are the channels whose last attempt has succeeded."""

    def __init__(self, attempts: Iterable[Attempt], proven: Collection[Key], now: int) -> None:
        self._proven = proven
        self._channels: Counter[Key] = Counter()
        self._slow: Counter[Key] = Counter()
        self._stalled: set[Key] = set()
        self._lingering: Counter[Bound] = Counter()
        self.begun: Counter[str] = Counter()
        """How much of each tenant has just begun."""
        self.upcoming: int | None = None
        """When there is room again because something isn't at its beginning any more."""
        for one in attempts:
            self._channels[one.channel] += 1
            if now - one.since < LINGERS:
                self.begun[one.channel[0]] += 1
                ends = one.since + LINGERS
                self.upcoming = ends if self.upcoming is None else min(ends, self.upcoming)
                continue
            self._slow[one.channel] += 1
            self._lingering.update(_kinds(one.channel[0], one.host))
            if now - one.since >= STALLS:
                self._stalled.add(one.channel)

    @property
    def capacity(self) -> int:
        """How many attempts may begin."""
        return min(AT_ONCE - self.begun.total(), MOST - self._channels.total())

    def bounds(self, channel: Key, host: str, *, is_tried: bool) -> dict[Bound, int]:
        """What bounds the attempts to a channel, and for how many each has room. One that is tried again after it had
        failed gets a single one."""
        is_proven = channel in self._proven and channel not in self._stalled and not is_tried
        most = PROVEN if is_proven else TRIED if is_tried else UNPROVEN
        left = most - self._channels[channel] if self._slow[channel] < PROVEN_LINGERING else 0
        found = {("channel", "/".join(channel)): left}
        if not is_proven:
            found |= {kind: _MOST_OF[kind[0]] - self._lingering[kind] for kind in _kinds(channel[0], host)}
        return found


def _kinds(tenant: str, host: str) -> tuple[Bound, ...]:
    return ("lingering", ""), ("lingering of tenant", tenant), ("lingering at host", host)


_MOST_OF = {"lingering": MOST - KEPT_FREE, "lingering of tenant": LINGERING, "lingering at host": LINGERING}
