"""Texts as JSON, written by hand for speed: exactly what the standard library writes, for it identifies instances."""

import hashlib
import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.ids import ALPHABET, id_series
from monitors.rules.model.alert import Instance
from monitors.rules.model.texts import Texts, list_json, mapping_json, read_json

texts = st.text(st.characters(exclude_categories=()))


@given(st.dictionaries(texts, texts), st.lists(texts))
def test_it_is_what_the_standard_library_writes_and_reads(mapping: dict[str, str], listed: list[str]) -> None:
    assert mapping_json(mapping) == json.dumps(mapping, ensure_ascii=False)
    assert list_json(listed) == json.dumps(listed, ensure_ascii=False)
    assert (read_json(mapping_json(mapping)), read_json(list_json(listed))) == (mapping, listed)


@given(st.dictionaries(texts, texts))
def test_texts_that_are_remembered_are_those_that_were_given(mapping: dict[str, str]) -> None:
    given_texts = Texts.of(mapping)
    remembered = Texts(given_texts.json)
    assert given_texts == remembered == mapping
    assert mapping_json(remembered) == mapping_json(mapping)
    assert (dict(remembered), list(remembered.items()), len(remembered)) == (
        mapping,
        list(mapping.items()),
        len(mapping),
    )
    assert all(remembered[name] == text for name, text in mapping.items())


utf8 = st.text(st.characters(codec="utf-8"))


@given(utf8, utf8, st.dictionaries(utf8, utf8))
def test_an_instance_has_the_key_that_it_always_had(rule: str, monitor: str, group: dict[str, str]) -> None:
    text = json.dumps([rule, monitor, sorted(group.items())], ensure_ascii=False)
    assert Instance.of("t", rule, monitor, group).key == hashlib.sha256(text.encode()).hexdigest()


def test_ids_that_are_made_together_are_all_different_and_look_like_others() -> None:
    made = list(itertools.islice(id_series("alert"), 70_000))
    assert len(set(made)) == len(made)
    assert all(len(each) == 18 and each.startswith("alert_") and set(each[6:]) <= set(ALPHABET) for each in made)
    # Neighbours in an index: all but some share a page's beginning.
    assert len({each[:-3] for each in made}) <= 4
