"""What is known of rules, from one state of the database to the next."""

import pytest

from monitors.rules.model import facts_memory
from monitors.rules.model.facts_memory import Facts, FactsMemory

SEEN: Facts = {("t", "rule_1"): None}


def test_what_was_read_is_known_until_any_rule_is_changed() -> None:
    memory = FactsMemory()
    memory.note(3, SEEN)
    assert (memory.at(3), memory.at(4), memory.at(2)) == (SEEN, {}, {})


def test_who_still_sees_an_older_state_says_nothing_about_the_newer_one() -> None:
    memory = FactsMemory()
    memory.note(3, SEEN)
    memory.note(2, {("t", "rule_1"): None, ("t", "rule_2"): None})
    assert (memory.at(3), memory.at(2)) == (SEEN, {})


def test_more_than_is_worth_its_memory_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_memory, "MOST", 1)
    memory = FactsMemory()
    memory.note(3, SEEN)
    memory.note(3, {**SEEN, ("t", "rule_2"): None})
    assert memory.at(3) == {}
