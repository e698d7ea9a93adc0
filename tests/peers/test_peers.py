"""Cases that others wrote, replayed: what they say of their own data, ours says too, or differs as it is written."""

from collections import Counter

import pytest

from tests.peers import flux, grafana, kapacitor, kapacitor_conditions, prometheus, vmalert
from tests.peers.cases import Case
from tests.peers.runner import observe, plainly, play

CASES = (*prometheus.CASES, *vmalert.CASES, *kapacitor.CASES, *kapacitor_conditions.CASES, *grafana.CASES, *flux.CASES)

NOT_REPLAYED = {
    "prometheus/compliance B4, states as input": "no rule can look at others (S14); its second one asks their series",
    "prometheus/compliance B1, annotations": "they are texts without a value in them; the value is the alert's own",
    "kapacitor C3 and C8, messages": "what is kept back, and told again later, is the notifier's; when, is replayed",
    "flux/monitor notify_test": "it tells and writes down what is told, which is the notifier's",
    "vmalert Exec, empty": "a rule without a single step has nothing to replay",
    "vmalert ExecRange, empty": "a rule without a single step has nothing to replay",
}


COUNTS = {
    "prometheus/compliance": (4, 83),
    "prometheus/rules": (8, 35),
    "vmalert/exec": (11, 50),
    "vmalert/range": (11, 49),
    "vmalert/restore": (9, 13),
    "kapacitor": (20, 213),
    "grafana": (3, 26),
    "flux/monitor": (11, 25),
}
"""How many cases of each peer are replayed, and how many facts they are held against."""


def name_of(case: Case) -> str:
    return f"{case.peer}: {case.name}"


def check(case: Case) -> int:
    """Replays a case and returns how many facts it was held against."""
    played = play(case)
    theirs, ours = plainly(observe(played, case.expected)), case.ours
    if ours is None:
        assert theirs == plainly(case.expected)
        return case.expected.count
    assert case.differs
    assert theirs != plainly(case.expected), "there is no difference any more"
    assert plainly(observe(played, ours)) == plainly(ours), case.differs
    return ours.count


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_case_of_a_peer(case: Case) -> None:
    assert check(case) > 0


def test_no_case_and_no_fact_has_got_lost() -> None:
    executed: dict[str, tuple[int, int]] = {}
    for case in CASES:
        cases, facts = executed.get(case.peer, (0, 0))
        executed[case.peer] = (cases + 1, facts + check(case))
    assert executed == COUNTS


def test_every_case_has_a_name_of_its_own() -> None:
    assert max(Counter(map(name_of, CASES)).values()) == 1


def test_what_is_not_replayed_says_why() -> None:
    assert all(NOT_REPLAYED.values())
