"""Up to when what a source has may be taken for everything: the time in which polled data is evaluated.

Points may be written later than they were measured, by the allowance. What was measured while the source was away may
be written later still: once it's back, its writers have the allowance again for what they kept.
"""

from collections.abc import Iterator
from typing import NamedTuple

from monitors.evaluator.model.evaluation import CATCH_UP
from monitors.evaluator.model.series import Arrival


class Outage(NamedTuple):
    """The source wasn't reached in (start, end], in nanoseconds."""

    start: int
    end: int


class Stretch(NamedTuple):
    """A stretch of time, (start, end], and how what was measured in it is taken."""

    start: int
    end: int
    arrival: Arrival


class Horizon:
    """`complete_to` is up to when everything has been read; `allowance` how late points may come, in nanoseconds."""

    def __init__(self, complete_to: int, allowance: int) -> None:
        self.complete_to = complete_to
        self.away_since: int | None = None
        """Since when what the source had may not have been everything, if it doesn't answer now."""
        self.answered_at: int | None = None
        """When it was last asked something that it answered; None if it never has."""
        self._allowance = allowance
        self._known_to = complete_to
        self._outages: list[Outage] = []

    def answered(self, asked_at: int) -> None:
        """Notes that the source has answered a question that was asked then."""
        if self.away_since is not None:
            self._outages.append(Outage(self.away_since, asked_at))
            self.away_since = None
        self._known_to = max(self._known_to, asked_at)
        self.answered_at = max(self.answered_at or asked_at, asked_at)
        self._outages = [one for one in self._outages if one.end > self.complete_to - CATCH_UP]

    def failed(self) -> None:
        """Notes that the source hasn't answered."""
        if self.away_since is not None:
            return
        self.away_since = self._known_to
        if self._outages and self._known_to < self._outages[-1].end + self._allowance:
            # It was back for so short a time that its writers may still have what they kept.
            self.away_since = self._outages.pop().start

    def keeps_up(self, now: int, slack: int) -> bool:
        """Whether what was complete at `now` has been read, or had been `slack` nanoseconds ago, and there is no outage
        of the source that hasn't been dealt with."""
        in_doubt = self.away_since is not None or any(one.end > self.complete_to for one in self._outages)
        return not in_doubt and now - self.complete_to <= self._allowance + slack

    def reach(self, now: int) -> int:
        """Up to when what it has is complete, if it answers now."""
        until = now - self._allowance
        if self.away_since is not None:
            until = min(until, self.away_since)
        for outage in self._outages:
            if now < outage.end + self._allowance:
                until = min(until, outage.start)
        return max(until, self.complete_to)

    def stretches(self, start: int, end: int, look_back: int) -> Iterator[Stretch]:
        """The time (start, end] as it's to be evaluated. What is more than an hour before the end is skipped, but for
        as much of it as windows look back."""
        oldest = end - CATCH_UP
        if start < oldest:
            yield Stretch(max(start, oldest - look_back), oldest, Arrival.SKIPPED)
            start = oldest
        for outage in self._outages:
            if outage.end <= start or outage.start >= end:
                continue
            if outage.start > start:
                yield Stretch(start, outage.start, Arrival.POLLED)
            yield Stretch(max(start, outage.start), min(outage.end, end), Arrival.AFTER_OUTAGE)
            start = min(outage.end, end)
        if start < end:
            yield Stretch(start, end, Arrival.POLLED)
