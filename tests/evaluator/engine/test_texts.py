"""Texts as numbers: the same everywhere, exact, and never what a number means otherwise."""

from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.texts import code_of

TEXTS = st.text(st.characters(codec="utf-8"))


def test_codes_never_change_since_saved_histories_and_rules_must_agree_on_them() -> None:
    assert code_of("") == 3_178_858_157_537_802
    assert code_of("down") == 1_815_249_514_189_982
    assert code_of("Zürich ✓") == 1_183_556_015_774_963


@given(TEXTS)
def test_a_code_is_a_positive_whole_number_that_a_double_holds_exactly(text: str) -> None:
    code = code_of(text)
    assert 0 < code < 2**52
    assert code == int(code)


@given(st.lists(TEXTS, unique=True, max_size=50))
def test_different_texts_have_different_codes(texts: list[str]) -> None:
    assert len({code_of(text) for text in texts}) == len(texts)
