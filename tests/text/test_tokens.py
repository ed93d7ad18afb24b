import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_policy.errors import OptionError
from dialog_policy.text import tokens
from dialog_policy.text.tokens import (
    character_ngrams,
    context_terms,
    get_tokenizer,
    tokenize,
    tokenize_texts,
    word_ngrams,
)

_TEXTS = st.lists(st.text("aB1_'?!. \0é\ud800\x1c", max_size=12) | st.text(max_size=20), max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't you, e.g., know?", ["don't", "you", "e", "g", "know", "?"]),
        ("Füße ÀÇ", ["füsse", "àç"]),
        ("我要看医生", ["我", "要", "看", "医", "生"]),
        ("電車で行く", ["電", "車", "で", "行", "く"]),
        ("ซื้อตั๋ว", ["ซื้", "อ", "ตั๋", "ว"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("ABC 12", ["abc", "12"]),
        ("", []),
        ("… --", []),
    ],
)
def test_tokenize(text, expected):
    assert tokenize(text) == expected


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_the_quick_way_for_ascii_gives_what_the_unicode_way_gives(text):
    assert tokenize(f"{text} é") == [*tokenize(text), "é"]


@given(_TEXTS, st.booleans())
def test_many_texts_have_the_tokens_of_each_and_equal_ones_are_one_object(texts, compiled):
    with pytest.MonkeyPatch.context() as patch:
        if not compiled:
            patch.setattr(tokens, "lookup", None)
        split = tokenize_texts([*texts, *texts])
        told_apart = tokenize_texts(texts, str.split)
    assert split == [*map(tokenize, texts)] * 2
    assert told_apart == [*map(str.split, texts)]
    for first, again in zip(split[: len(texts)], split[len(texts) :], strict=True):
        assert [*map(id, first)] == [*map(id, again)]


def test_tokens_that_collide_are_told_apart_in_python(monkeypatch):
    class Refusing:
        def tokenize_ascii(self, _):
            raise ValueError

    monkeypatch.setattr(tokens, "lookup", Refusing())
    assert tokenize_texts(["A b!"]) == [["a", "b", "!"]]


@given(st.text())
def test_tokens_are_never_empty_and_hold_no_space(text):
    assert all(token and not token.isspace() for token in tokenize(text))


def test_ngrams():
    assert word_ngrams(["a", "b", "c"], 1, 2) == ["a", "b", "c", "a b", "b c"]
    assert character_ngrams("ab", 3, 4) == ["<ab", "ab>", "<ab>"]
    assert character_ngrams("a", 3, 5) == ["<a>"]


def test_context_terms():
    terms = context_terms({"results": [{"price": "Cheap"}], "ok": True, "n": 1200, "nothing": None})
    assert {"results#1", "results.price=cheap", "results.price:cheap", "ok=true", "n~+1e3", "nothing=null"} <= set(
        terms
    )
    assert "results#many" in context_terms({"results": [{}] * 9})
    assert context_terms({}) == []


@pytest.mark.parametrize(("sign", "marked"), [(1, "+big"), (-1, "-big")])
@pytest.mark.parametrize("digits", [20, 308, 309, 400, 5_000])
def test_integers_of_any_length_are_numbers(sign, marked, digits):
    """No float holds an integer of 400 digits, and Python spells none of 5,000."""
    exact, magnitude = context_terms({"n": sign * 10**digits})[1:]
    assert exact.startswith("n=-" if sign < 0 else "n=")
    assert magnitude == f"n~{marked}"


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
        max_leaves=8,
    )
)
def test_any_json_is_a_context(value):
    assert context_terms({"key": value})[0] == "key"


def test_an_unknown_tokenizer_is_refused():
    with pytest.raises(OptionError, match="default"):
        get_tokenizer("defualt")
