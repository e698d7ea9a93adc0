"""Names ↔ numbers, against a dict."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.identities import NONE, Identities

TENANT = st.sampled_from(["a", "b", "ä"])
NAME = st.one_of(st.integers(0, 40).map(str), st.sampled_from(["", "é\0b", "b" * 300]))
KEYS = st.lists(st.tuples(TENANT, NAME), max_size=30, unique=True)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["add", "add_all", "remove"]), KEYS), max_size=12))
def test_names_are_found_by_the_numbers_that_they_got(changes: list[tuple[str, list[tuple[str, str]]]]) -> None:
    identities, known = Identities(), dict[tuple[str, str], int]()
    for kind, keys in changes:
        if kind == "remove":
            for key in filter(known.__contains__, keys):
                identities.remove(known.pop(key))
            continue
        new = [key for key in keys if key not in known]
        if kind == "add":
            numbers = [identities.add(*key) for key in new]
        else:
            numbers = identities.add_all([tenant for tenant, _ in new], [name for _, name in new]).tolist()
        known.update(zip(new, numbers, strict=True))
        assert len(set(known.values())) == len(known)
        found = identities.find_all([tenant for tenant, _ in keys], [name for _, name in keys])
        assert found.tolist() == [known.get(key, NONE) for key in keys]
    assert set(identities) == known.keys()
    for key, number in known.items():
        assert (identities[number], identities.find(*key)) == (key, number)
    assert identities.of_all(np.array(list(known.values()), dtype=np.intp)) == list(known)
    assert identities.find("a", "unheard of") is None


def test_names_whose_hashes_are_alike_are_told_apart_and_may_go_in_any_order() -> None:
    # 48 of 64 slots are taken, so that most names aren't where their hashes point.
    names = [str(number) for number in range(48)]
    for order in (names, names[::-1], names[24:] + names[:24]):
        identities = Identities()
        identities.add_all(["a"] * 48, names)
        left = set(names)
        for name in order:
            number = identities.find("a", name)
            assert number is not None
            identities.remove(number)
            left.remove(name)
            assert {one for one in names if identities.find("a", one) is not None} == left


def test_a_removed_number_is_given_again_and_unknown_until_then() -> None:
    identities = Identities()
    first, second = identities.add("a", "x"), identities.add("a", "y")
    identities.remove(first)
    with pytest.raises(LookupError):
        identities.of_all(np.array([second, first]))
    with pytest.raises(LookupError):
        identities[first]
    assert identities.add("b", "z") == first
    assert identities[second] == ("a", "y")


def test_names_that_come_and_go_take_no_more_memory() -> None:
    identities = Identities()
    for number in range(5_000):
        identities.remove(identities.add("a", f"{number:>50}"))
    kept = identities.add("a", "kept")
    assert identities[kept] == ("a", "kept")
    assert len(identities._text) < 200


def test_names_of_one_tenant_tell_so() -> None:
    identities = Identities()
    numbers = identities.add_all(["a", "b", "a"], ["x", "x", "y"])
    first, second, third = identities.tenants(numbers).tolist()
    assert first == third == identities.tenant(int(numbers[0]))
    assert first != second
