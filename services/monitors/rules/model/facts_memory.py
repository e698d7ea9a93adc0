"""What alerts take from rules, kept from batch to batch: as long as no rule is changed, none needs to be read again."""

from collections.abc import Mapping

from monitors.rules.model.episodes import RuleFacts

MOST = 20_000
"""Rules. Before there are more, it begins anew."""

Facts = Mapping[tuple[str, str], RuleFacts | None]
"""By tenant and rule; None of a rule that is gone or turned off."""


class FactsMemory:
    """What was read of rules in the newest state of the database that was seen. To be used by several threads."""

    def __init__(self) -> None:
        # Replaced as a whole and never changed: others may just be reading.
        self._newest: tuple[int, Facts] = -1, {}

    def at(self, revision: int) -> Facts:
        """What is known of rules in a state in which the last change of any of them was this revision."""
        known_at, facts = self._newest
        return facts if known_at == revision else {}

    def note(self, revision: int, facts: Facts) -> None:
        """Keeps what is known in such a state: what `at` gave, and what was read beyond. Of an older state nothing."""
        if revision >= self._newest[0]:
            self._newest = revision, facts if len(facts) <= MOST else {}
