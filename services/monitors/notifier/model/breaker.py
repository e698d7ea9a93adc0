"""The breaker of a channel: an endpoint that keeps failing is left alone for a while, and nothing else waits for it.

It opens after five failures in a row, or when half of at least twenty attempts within a minute have failed. Once it has
been open for a while one attempt tries whether the endpoint is back: if so it closes, if not it opens for twice as
long. What waits behind an open breaker uses up none of its attempts.
"""

from dataclasses import dataclass, replace

from monitors.mesh.times import HOUR, MINUTE, SECOND
from monitors.notifier.model.delivery import OutcomeKind

FAILURES_IN_A_ROW = 5
WINDOW = MINUTE
ENOUGH_ATTEMPTS = 20
FIRST_PAUSE = 5 * SECOND
"""Short, since the attempts of a single blip of some milliseconds may open it."""
LONGEST_PAUSE = 10 * MINUTE
GIVES_UP_AFTER = 120 * HOUR

FAILURES = frozenset({OutcomeKind.RETRYABLE, OutcomeKind.AMBIGUOUS, OutcomeKind.CONFIGURATION_BROKEN})
"""What says that the endpoint fares badly. A throttled one is well and says when it wants more."""


@dataclass(frozen=True)
class Breaker:
    """How a channel's endpoint has fared. Times are nanoseconds since 1970, 0 where there is none."""

    failures: int = 0
    """How many attempts have failed since the last success."""
    failing_since: int = 0
    openings: int = 0
    """How often it has opened since the last success."""
    open_until: int = 0
    window_start: int = 0
    window_attempts: int = 0
    window_failures: int = 0

    def is_open(self, now: int) -> bool:
        """Whether nothing is sent."""
        return now < self.open_until

    @property
    def lets_one_through(self) -> bool:
        """Whether a single attempt is let through once it isn't open any more, to see how the endpoint fares."""
        return self.open_until > 0

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to remember."""
        return not self.failures and not self.window_failures

    def gives_up(self, now: int) -> bool:
        """Whether everything has failed for so long that the channel is to be turned off."""
        return bool(self.failing_since) and now - self.failing_since >= GIVES_UP_AFTER


def after_attempt(breaker: Breaker, outcome: OutcomeKind, ended_at: int) -> Breaker:
    """The breaker after an attempt that has ended."""
    counted = _count(breaker, outcome in FAILURES, ended_at)
    if outcome not in FAILURES:
        return replace(counted, failures=0, failing_since=0, openings=0, open_until=0)
    failed = replace(counted, failures=counted.failures + 1, failing_since=counted.failing_since or ended_at)
    if failed.is_open(ended_at):
        # It was on its way already when the breaker opened.
        return failed
    return _opened(failed, ended_at) if failed.lets_one_through or _fails_too_often(failed) else failed


def _count(breaker: Breaker, failed: bool, now: int) -> Breaker:
    if now - breaker.window_start >= WINDOW:
        return replace(breaker, window_start=now, window_attempts=1, window_failures=int(failed))
    return replace(
        breaker,
        window_attempts=breaker.window_attempts + 1,
        window_failures=breaker.window_failures + failed,
    )


def _fails_too_often(breaker: Breaker) -> bool:
    many = breaker.window_attempts >= ENOUGH_ATTEMPTS and 2 * breaker.window_failures >= breaker.window_attempts
    return many or breaker.failures >= FAILURES_IN_A_ROW


def _opened(breaker: Breaker, now: int) -> Breaker:
    pause = min(FIRST_PAUSE << min(breaker.openings, 20), LONGEST_PAUSE)
    # What is counted from here on is how it fares afterwards.
    return replace(breaker, openings=breaker.openings + 1, open_until=now + pause, window_attempts=0, window_failures=0)
