"""What is said of settings that cannot be."""

from pathlib import Path

import numpy as np
import pytest
from gensim.models import KeyedVectors

from dialog_policy import DialogPolicy
from dialog_policy.errors import OptionError
from dialog_policy.policy import make_config

WORD = {"kind": "lsa"}
UNITS = "a layer of n units has 4·n² recurrent weights, and training keeps four copies of them"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"precision": "mixd"},
            "setting precision: expected one of float32, mixed; found 'mixd'. Did you mean 'mixed'?",
        ),
        ({"precision": 3}, "setting precision: expected one of float32, mixed; found 3."),
        ({"hidden": "wide"}, "setting hidden: expected a whole number or a list; found 'wide'."),
        ({"hidden": [16, 0]}, f"setting hidden[1]: expected a whole number from 1 to 8,192 ({UNITS}); found 0."),
        ({"hidden": 10**11}, f"setting hidden: expected a whole number from 1 to 8,192 ({UNITS}); found 100000000000."),
        (
            {"epochs": 99999999999999999999},
            "setting epochs: expected a whole number from 1 to 100,000 (each epoch is a pass over the whole training part); "
            "found 99999999999999999999.",
        ),
        (
            {"seed": 2**32},
            "setting seed: expected a whole number from 0 to 4,294,967,295 (NumPy's and scikit-learn's seeds have 32 bits); "
            "found 4294967296.",
        ),
        (
            {"learning_rate": float("inf")},
            "setting learning_rate: expected a number over 0.0 to 1.0 (a step of AdamW moves every weight by about the learning "
            "rate); found inf.",
        ),
        (
            {"weight_decay": 1e9},
            "setting weight_decay: expected a number from 0.0 to 10.0 (each step shrinks every weight by learning_rate × "
            "weight_decay); found 1000000000.0.",
        ),
        (
            {"batch_size": 10**9},
            "setting batch_size: expected a whole number from 1 to 65,536 (the features of all dialogues of a batch are in memory "
            "at once); found 1000000000.",
        ),
        (
            {"user": [{"kind": "bits", "max_terms": 10**10}]},
            "setting user[0].max_terms: expected a whole number from 1 to 1,000,000 (every term is a column of features or a row "
            "of a table); found 10000000000.",
        ),
        (
            {"user": [{"kind": "bits", "ngrams": [1, 10**6]}]},
            "setting user[0].ngrams[1]: expected a whole number from 1 to 16 (longer n-grams hardly ever occur twice); found "
            "1000000.",
        ),
        (
            {"user": [{"kind": "bits", "ngrams": [3, 1]}]},
            "setting user[0].ngrams: expected the shorter length first; found [3, 1].",
        ),
        ({"dropout": 1.5}, "setting dropout: expected a number from 0.0 under 1.0; found 1.5."),
        ({"user": "bits"}, 'setting user: expected a list of encoders, such as [{"kind": "bits"}]; found \'bits\'.'),
        (
            {"user": {"kind": "bits"}},
            "setting user: expected a list of encoders, such as [{\"kind\": \"bits\"}]; found {'kind': 'bits'}.",
        ),
        ({"system": ["bits"]}, 'setting system[0]: expected an encoder, such as {"kind": "bits"}; found \'bits\'.'),
        ({"seed": None}, "setting seed: expected a whole number; found None."),
        ({"entities": 3}, "setting entities: expected True or False; found 3."),
        (
            {"user": [WORD, {"kind": "lda"}]},
            "setting user[1].kind: expected one of bits, lsa, word2vec, fasttext, pretrained, embedding, sentence; found 'lda'."
            " Did you mean 'lsa'?",
        ),
        (
            {"system": [{**WORD, "dimm": 3}]},
            "setting system[0]: expected one of unit, ngrams, dim, max_terms, variance; found 'dimm'. Did you mean 'dim'?",
        ),
        (
            {"user": [{**WORD, "unit": "wrd"}]},
            "setting user[0].unit: expected one of character, word; found 'wrd'. Did you mean 'word'?",
        ),
        ({"user": [{**WORD, "ngrams": ["a", 2]}]}, "setting user[0].ngrams[0]: expected a whole number; found 'a'."),
        (
            {"user": [{"kind": "word2vec", "pools": ["mean", "men"]}]},
            "setting user[0].pools[1]: expected one of max, mean, sif; found 'men'. Did you mean 'mean'?",
        ),
        ({"user": [{"dim": 3}]}, "setting user[0]: expected the key 'kind'; found {'dim': 3}."),
    ],
)
def test_an_impossible_value_is_named_with_what_is_possible(settings, message):
    with pytest.raises(OptionError) as caught:
        make_config(settings)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", ["learning_rate", "weight_decay", "dropout", "averaging", "label_smoothing"])
def test_no_setting_is_not_a_number(name):
    with pytest.raises(OptionError, match=f"setting {name}: expected a number .* found nan"):
        make_config({name: float("nan")})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("window", 0),
        ("max_lengths", 10**9),
        ("patience", 0),
        ("smallest_dev", 10**9),
        ("epochs", 0),
        ("epochs", 2.5),
        ("hidden", []),
    ],
)
def test_other_bounds(name, value):
    with pytest.raises(OptionError, match=f"setting {name}: "):
        make_config({name: value})


def test_numbers_of_numpy_and_paths_are_what_they_say():
    made = make_config(
        {
            "hidden": np.array([8, 16]),
            "learning_rate": np.logspace(-3, -2, 2)[1],
            "dropout": np.float32(0.5),
            "seed": np.int64(3),
            "entities": np.bool_(False),
            "head": np.array(["softmax"])[0],
            "user": [{"kind": "pretrained", "path": Path("a/words.bin"), "max_terms": np.int64(9)}],
        }
    )
    assert made == make_config(
        {
            "hidden": [8, 16],
            "learning_rate": 0.01,
            "dropout": 0.5,
            "seed": 3,
            "entities": False,
            "head": "softmax",
            "user": [{"kind": "pretrained", "path": str(Path("a/words.bin")), "max_terms": 9}],
        }
    )
    assert repr(DialogPolicy(hidden=np.array([8, 8]))) == "DialogPolicy(hidden=array([8, 8]))"


def test_a_value_of_an_impossible_type_is_named_with_the_way_out():
    vectors = KeyedVectors(3)
    for settings in ({"user": [vectors]}, {"user": [{"kind": "pretrained", "path": vectors}]}):
        with pytest.raises(
            OptionError, match=r"setting user: found .* KeyedVectors\. .*save_word2vec_format.*add_vectors"
        ):
            make_config(settings)
    with pytest.raises(OptionError, match="setting dropout: found a value of an impossible type, object"):
        make_config({"dropout": object()})
