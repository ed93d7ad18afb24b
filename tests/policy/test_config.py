"""What is said of settings that cannot be."""

import pytest

from dialog_policy.errors import OptionError
from dialog_policy.policy import make_config

WORD = {"kind": "lsa"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"precision": "mixd"},
            "setting precision: expected one of float32, mixed; found 'mixd'. Did you mean 'mixed'?",
        ),
        ({"precision": 3}, "setting precision: expected one of float32, mixed; found 3."),
        ({"hidden": "wide"}, "setting hidden: expected int | array, got str; found 'wide'."),
        ({"hidden": [16, 0]}, "setting hidden[1]: expected int >= 1; found 0."),
        ({"dropout": 1.5}, "setting dropout: expected float < 1.0; found 1.5."),
        ({"user": "bits"}, "setting user: expected array, got str; found 'bits'."),
        (
            {"user": [WORD, {"kind": "lda"}]},
            "setting user[1].kind: expected one of bits, lsa, word2vec, fasttext, pretrained, embedding; found 'lda'."
            " Did you mean 'lsa'?",
        ),
        (
            {"system": [{**WORD, "dimm": 3}]},
            "setting system[0]: expected one of unit, ngrams, dim, max_terms; found 'dimm'. Did you mean 'dim'?",
        ),
        (
            {"user": [{**WORD, "unit": "wrd"}]},
            "setting user[0].unit: expected one of character, word; found 'wrd'. Did you mean 'word'?",
        ),
        ({"user": [{**WORD, "ngrams": ["a", 2]}]}, "setting user[0].ngrams[0]: expected int, got str; found 'a'."),
        (
            {"user": [{"kind": "word2vec", "pools": ["mean", "men"]}]},
            "setting user[0].pools[1]: expected one of max, mean, sif; found 'men'. Did you mean 'mean'?",
        ),
        ({"user": [{"dim": 3}]}, "setting user[0]: object missing required field kind; found {'dim': 3}."),
    ],
)
def test_an_impossible_value_is_named_with_what_is_possible(settings, message):
    with pytest.raises(OptionError) as caught:
        make_config(settings)
    assert str(caught.value) == message
