"""The catalogue: what a key leads to is what it led to before, however many there are."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.points import Definition, Points, decode, encode

NAMES = st.sampled_from(["a", "b", "ü", "a b"])
TAGS = st.dictionaries(NAMES, st.sampled_from(["1", "2", "\n"]), max_size=2).map(
    lambda tags: tuple(sorted(tags.items()))
)
DEFINITIONS = st.builds(
    Definition,
    st.builds(SeriesKey, NAMES, NAMES, NAMES, NAMES, TAGS),
    st.sampled_from([FieldType.FLOAT, FieldType.STRING]),
)


@settings(deadline=None)
@given(st.lists(DEFINITIONS, max_size=60), st.integers(1, 20))
def test_a_series_has_one_index_and_a_field_one_type(definitions: list[Definition], most: int) -> None:
    catalogue = Catalogue(max_series=most)
    indexes: dict[SeriesKey, int] = {}
    types: dict[Any, FieldType] = {}
    for definition in definitions:
        key, kind = definition
        field = key[:4]
        of_tenant = sum(one.tenant == key.tenant for one in indexes)
        found, result = catalogue.find(definition), catalogue.find_or_add(definition)
        if types.get(field, kind) != kind:
            assert isinstance(result, str)
            assert "already exists as type" in result
            assert catalogue.index_of(definition) is None
        elif key in indexes:
            assert found == result == catalogue.index_of(definition) == indexes[key]
        elif of_tenant >= most:
            assert isinstance(result, str)
            assert "which is the limit" in result
        else:
            assert (found, result) == (None, len(indexes))
            indexes[key], types[field] = len(indexes), kind
    wanted = [Series(index, key, types[key[:4]]) for key, index in indexes.items()]
    assert catalogue.all() == wanted
    assert catalogue.unsaved() == wanted
    assert Catalogue(wanted).all() == wanted
    for tenant in catalogue.tenants():
        own = [one for one in wanted if one.key.tenant == tenant]
        assert catalogue.monitors(tenant) == sorted({one.key.monitor for one in own})
        listed = [one for monitor in catalogue.monitors(tenant) for one in catalogue.of_monitor(tenant, monitor)]
        assert listed == sorted(own, key=lambda one: one.key)
        assert {one.key[:4] for one in catalogue.fields_of(tenant)} == {one.key[:4] for one in own}
    assert catalogue.of_monitor("a", "nobody") == []
    assert list(catalogue.monitors("nobody")) == []


def test_thousands_of_series_of_one_monitor_and_of_one_each_are_told_apart() -> None:
    catalogue = Catalogue()
    definitions = [
        Definition(SeriesKey("t", monitor, "m", field, (("n", str(number)),)), FieldType.FLOAT)
        for number in range(3_000)
        for monitor, field in (("all", "x"), (f"own{number}", "x"), ("all", f"f{number}"))
    ]
    assert [catalogue.find_or_add(one) for one in definitions] == list(range(9_000))
    assert [catalogue.index_of(one) for one in definitions] == list(range(9_000))
    assert len(catalogue.of_monitor("t", "all")) == 6_000


def test_a_key_that_can_not_be_stored_is_like_no_other() -> None:
    catalogue = Catalogue()
    catalogue.find_or_add(Definition(SeriesKey("t", "m", "m", "x", (("a", "b"), ("c", "d"))), FieldType.FLOAT))
    forged = Definition(SeriesKey("t", "m", "m", "x", (("a", "b\0c\0d"),)), FieldType.FLOAT)
    assert catalogue.index_of(forged) is None
    assert "no NUL" in str(catalogue.find(forged))


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 2**31 - 1), max_size=8)
    | st.integers(0, 50).map(lambda first: list(range(first, first + 7))),
    st.data(),
)
def test_columns_that_repeat_themselves_are_encoded_without_loss(series: list[int], data: st.DataObject) -> None:
    span = data.draw(st.sampled_from([0, 1, 2**32 - 1, 2**32, 2**63 - 1]))
    first = data.draw(st.integers(-(2**63), 2**63 - 1 - span))
    times = data.draw(st.lists(st.integers(first, first + span), min_size=len(series), max_size=len(series)))
    points = Points(np.array(series, np.int32), np.array(times, np.int64), np.arange(len(series), dtype=np.uint64))
    found = decode(encode(points))
    assert (found.series.tolist(), found.times.tolist(), found.values.tolist()) == (
        series,
        times,
        list(range(len(series))),
    )
    assert [str(column.dtype) for column in (found.series, found.times, found.values)] == ["int32", "int64", "uint64"]


def test_a_tick_takes_eight_bytes_a_point_and_what_was_written_before_is_still_read() -> None:
    tick = Points(np.arange(5, 105, dtype=np.int32), np.full(100, 7), np.zeros(100, np.uint64))
    assert len(encode(tick)) == 8 + 4 + 8 + 800
    old = (
        np.array([2, 0], "<u4").tobytes() + np.array([3, 4], "<i4").tobytes() + np.array([1, 1, 8, 9], "<i8").tobytes()
    )
    found = decode(old)
    assert (found.series.tolist(), found.times.tolist(), found.values.tolist()) == ([3, 4], [1, 1], [8, 9])
