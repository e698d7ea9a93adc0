"""Which batches are known, against a plain list of everything that was ever committed."""

from hypothesis import given
from hypothesis import strategies as st

from monitors.rules.model.recent import KEPT, Instances, Recent

instances = st.frozensets(st.tuples(st.just("t"), st.sampled_from("abcd")), max_size=2)
commits = st.lists(st.tuples(st.integers(0, 3), instances, st.booleans()), max_size=12)


@given(commits, instances, st.integers(0, 40))
def test_instances_are_spared_by_what_is_known_to_be_about_others(
    given_commits: list[tuple[int, Instances, bool]], own: Instances, since: int
) -> None:
    recent, newest = Recent(), 0
    takers: dict[int, Instances | None] = {}
    for count, touched, is_noted in given_commits:
        numbers = range(newest + 1, newest + 1 + count)
        newest += count
        takers |= dict.fromkeys(numbers, touched if is_noted else None)
        if is_noted:
            recent.note(numbers, touched)
    # Whoever asks has seen a state that there was: no batch was half committed.
    ends = {0} | {number for number in takers if number == newest or takers[number] is not takers.get(number + 1)}
    since = max(end for end in ends if end <= since)
    between = [takers[number] for number in range(since + 1, newest + 1)]
    expected = all(touched is not None and touched.isdisjoint(own) for touched in between)
    assert recent.spares(own, since, newest) == expected


def test_what_was_too_long_ago_is_not_known() -> None:
    recent = Recent()
    for number in range(1, KEPT + 2):
        recent.note(range(number, number + 1), frozenset())
    assert recent.spares(frozenset(), 1, KEPT + 1)
    assert not recent.spares(frozenset(), 0, KEPT + 1)
