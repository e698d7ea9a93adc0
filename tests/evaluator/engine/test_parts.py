"""States in parts: at any moment there is a whole one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.parts import HEAD_SHARD, joined, named_by, split

SIZE = 10


# A state begins with a word of its own, as parts and heads do.
@given(st.lists(st.binary(max_size=60).map(b"MES2".__add__), min_size=1, max_size=6))
def test_what_was_saved_last_is_read_whole_wherever_saving_was_cut_off(states: list[bytes]) -> None:
    saved: dict[int, bytes] = {}
    last = None
    for state in states:
        former = named_by(saved.get(HEAD_SHARD, b""))
        parts, head = split(state, former, SIZE)
        for shard, part in parts.items():
            saved[shard] = part
            assert joined(saved).get(HEAD_SHARD) == last
        saved[HEAD_SHARD] = head
        last = state
        assert joined(saved) == {HEAD_SHARD: state}


def test_parts_that_do_not_belong_together_are_told() -> None:
    parts, head = split(b"x" * 25, range(0), SIZE)
    with pytest.raises(ValueError, match="don't belong together"):
        joined({**parts, HEAD_SHARD: head, max(parts): b"other"})


def test_a_state_that_is_too_large_is_told_with_its_size() -> None:
    with pytest.raises(ValueError, match="2,000 bytes; at most 1,270"):
        split(b"x" * 2000, range(0), SIZE)
