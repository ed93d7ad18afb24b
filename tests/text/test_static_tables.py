"""Static vectors of tokens with their tokenizer file become a table of words."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from dialog_policy.errors import OptionError
from dialog_policy.text.encoders import Pretrained, fit_encoder

tokenizers = pytest.importorskip("tokenizers", reason="the extra static is not installed")

VOCABULARY = ["[UNK]", "table", "book", "##ing", "##s", "Cheap", "[unused1]"]
VECTORS = np.arange(14, dtype=np.float32).reshape(7, 2)
SENTENCES = [["a", "booking"], ["tables", "booking"]]


@pytest.fixture
def folder(tmp_path):
    pieces = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(pieces, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.enable_truncation(1)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    save_file({"embeddings": VECTORS}, tmp_path / "model.safetensors")
    return tmp_path


def fit(folder):
    encoder = Pretrained(path=str(folder), format="model2vec", pools=("mean",))
    return fit_encoder(encoder, SENTENCES, sentences=SENTENCES, seed=0)


def test_a_word_is_the_mean_of_its_tokens_whether_training_or_the_vocabulary_has_it(folder):
    table = fit(folder)
    encoded = table.encode([["booking"], ["tables"], ["table"], ["book"], ["booking", "tables"]]) / table.scale
    booking, tables = VECTORS[[2, 3]].mean(axis=0), VECTORS[[1, 4]].mean(axis=0)
    expected = [booking, tables, VECTORS[1], VECTORS[2], (booking + tables) / 2]
    np.testing.assert_allclose(encoded, expected, rtol=1e-6)
    assert set(table.terms) == {"booking", "tables", "table", "book"}, "'a' and 'cheap' are unknown to the tokenizer"


def test_shared_rows_and_weights_are_understood(folder):
    mapping, weights = np.array([0, 1, 1, 0, 0, 0, 0]), np.full(7, 0.5, dtype=np.float32)
    save_file({"embeddings": VECTORS, "mapping": mapping, "weights": weights}, folder / "model.safetensors")
    table = fit(folder)
    np.testing.assert_allclose(table.encode([["book"]])[0] / table.scale, VECTORS[1] / 2, rtol=1e-6)


def test_what_is_no_such_folder_is_refused(folder):
    (folder / "tokenizer.json").rename(folder / "kept")
    with pytest.raises(OptionError, match=r"there is no tokenizer\.json"):
        fit(folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(OptionError, match="cannot be read as a tokenizer"):
        fit(folder)
    (folder / "kept").rename(folder / "tokenizer.json")
    for arrays, message in (
        ({"vectors": VECTORS}, "expected an array 'embeddings'"),
        ({"embeddings": VECTORS[:3]}, "vectors of the tokenizer's 7 tokens, found 3"),
        ({"embeddings": VECTORS * np.nan}, "NaN or infinity"),
    ):
        save_file(arrays, folder / "model.safetensors")
        with pytest.raises(OptionError, match=message):
            fit(folder)
    (folder / "model.safetensors").write_bytes(b"no")
    with pytest.raises(OptionError, match="cannot be read as safetensors"):
        fit(folder)
