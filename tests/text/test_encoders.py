import numpy as np
import pytest
from gensim.models import KeyedVectors
from sklearn.feature_extraction.text import TfidfVectorizer

from dialog_policy.errors import CorpusWarning, OptionError
from dialog_policy.testing import encoder_checks, parametrize_with_checks
from dialog_policy.text.embedding import PADDING_ID
from dialog_policy.text.encoders import Bits, Embedding, FastText, Lsa, Pretrained, Word2Vec, fit_encoder
from dialog_policy.text.table import TermTable
from dialog_policy.text.tokens import Analyzer

TEXTS = [
    t.split()
    for t in ("a cheap italian place", "an italian place please", "cheap cheap food", "no thanks", "a b a b c")
] * 4
ENCODERS = [
    Bits(),
    Bits(unit="character", ngrams=(2, 3)),
    Lsa(dim=4),
    Lsa(dim=500),
    Lsa(unit="character", ngrams=(3, 5), dim=5),
    Word2Vec(dim=8, epochs=2),
    Word2Vec(dim=8, epochs=2, pools=("sif", "mean", "max")),
    FastText(dim=8, epochs=2, pools=("mean", "sif")),
    Embedding(dim=8),
    Embedding(dim=4, ngrams=(1, 2), pools=("sum", "mean"), init="random"),
]


def fit(encoder):
    return fit_encoder(encoder, TEXTS, sentences=TEXTS, seed=3)


@parametrize_with_checks(check for encoder in ENCODERS for check in encoder_checks(encoder))
def test_contract(check):
    check()


def test_tfidf_is_scikit_learns():
    table = fit(Lsa(dim=500))
    theirs = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), analyzer="word", token_pattern=r"\S+")
    expected = theirs.fit_transform([" ".join(t) for t in TEXTS]).toarray()
    order = [theirs.vocabulary_[term] for term in table.terms]
    np.testing.assert_allclose(table.encode(TEXTS) / table.scale, expected[:, order], atol=1e-6)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_lsa_has_no_more_features_than_explain_a_share_of_the_variance(share):
    texts = np.random.default_rng(0).choice(list("abcdefgh"), size=(40, 3)).tolist()
    lsa = Lsa(dim=6, ngrams=(1, 1), variance=share)
    whole, fewer = (fit_encoder(one, texts, sentences=texts, seed=3) for one in (Lsa(dim=6, ngrams=(1, 1)), lsa))
    squared = (
        np.linalg.svd(fit_encoder(Lsa(dim=9, ngrams=(1, 1)), texts, sentences=texts, seed=3).encode(texts))[1] ** 2
    )
    needed = 1 + int(np.argmax(np.cumsum(squared) >= share * squared.sum())) if share < 0.9 else 6
    np.testing.assert_array_equal(fewer.vectors, whole.vectors[:, :needed])


def test_unknown_words():
    assert fit(FastText(dim=8, epochs=2)).encode([["cheapest"]]).any(), "composed of subwords"
    assert fit(Word2Vec(dim=8, epochs=2)).encode([["xyz"]]).any(), "a vector of its own"
    assert not fit(Lsa(dim=500)).encode([["xyz"]]).any()


def test_pools_by_hand():
    vectors = np.array([[1, 2], [3, -4], [0, 1]], dtype=np.float32)
    weights = np.array([1, 0.5], dtype=np.float32)
    table = TermTable(Analyzer("word"), ["a", "b"], vectors, weights, pools=("mean", "max", "sif", "sum"))
    np.testing.assert_allclose(table.encode([["a", "b", "b"]])[0], [7 / 3, -2, 3, 2, 4 / 3, -2 / 3, 4, -2], rtol=1e-6)
    np.testing.assert_allclose(table.encode([["zzz"]])[0], [0, 1] * 4)


def test_sif_removes_the_common_component():
    table = fit(Word2Vec(dim=8, epochs=2, pools=("sif",)))
    projections = table.encode(TEXTS) @ table.component
    np.testing.assert_allclose(projections, 0, atol=1e-4 * table.scale)


@pytest.mark.parametrize(
    ("name", "format", "text"),
    [("v.txt", "word2vec", "2 2\nCheap 1 2\nfood 3 4\n"), ("g.txt", "glove", "Cheap 1 2\nfood 3 4\n")],
)
@pytest.mark.filterwarnings("ignore:.*have a vector")
def test_pretrained_vectors(tmp_path, name, format, text):
    (tmp_path / name).write_text(text)
    table = fit(Pretrained(path=str(tmp_path / name), format=format, pools=("mean",)))
    np.testing.assert_allclose(table.encode([["cheap", "food"]])[0] / table.scale, [2, 3], rtol=1e-6)


def test_pretrained_errors(tmp_path):
    with pytest.raises(OptionError, match="no file"):
        fit(Pretrained(path=str(tmp_path / "none.txt")))
    (tmp_path / "bad.txt").write_text("this is\nno vector file\n")
    with pytest.raises(OptionError, match="word2vec format"):
        fit(Pretrained(path=str(tmp_path / "bad.txt")))
    vectors = KeyedVectors(2)
    vectors.add_vectors(["cheap"], np.ones((1, 2), dtype=np.float32))
    vectors.save(str(tmp_path / "words.kv"))
    np.save(tmp_path / "words.npy", np.ones((1, 2)))
    for name, kind in (("words.kv", "a pickle, such as gensim's save"), ("words.npy", "arrays of NumPy")):
        with pytest.raises(OptionError, match=f"word2vec format, found {kind}.*save_word2vec_format.*add_vectors"):
            fit(Pretrained(path=str(tmp_path / name)))
    vectors.save_word2vec_format(str(tmp_path / "words.bin"), binary=True)
    with pytest.warns(
        CorpusWarning, match=r"words\.bin: only 17% of the words .* frequent ones without are 'a', 'italian', 'place'"
    ):
        assert fit(Pretrained(path=str(tmp_path / "words.bin"))).terms == ("cheap",)
    (tmp_path / "french.txt").write_text("2 2\nbonjour 1 2\nmaison 3 4\n")
    with pytest.raises(
        OptionError, match=r"french\.txt: none of the words of the training part have a vector; .* language"
    ):
        fit(Pretrained(path=str(tmp_path / "french.txt")))
    (tmp_path / "nan.txt").write_text("2 2\ncheap 1 2\nfood nan 4\n")
    with pytest.raises(OptionError, match="vector of 'food'"):
        fit(Pretrained(path=str(tmp_path / "nan.txt")))


@pytest.mark.parametrize("encoder", [e for e in ENCODERS if isinstance(e, Embedding)], ids=["mean", "sum, mean"])
def test_an_embedding_packs_texts_without_padding(encoder):
    table = fit(encoder)
    texts = [["cheap", "food", "unheard"], [], ["unheard"], ["cheap", "cheap", "food"]]
    packed = table.pack(texts)
    assert packed.values.min() > PADDING_ID
    assert packed.values.max() == len(table.vectors) == len(table.terms) + 1, "what is unknown is the last"
    np.testing.assert_allclose(table.encode_packed(packed), table.encode(texts), atol=1e-5)
    chosen = np.array([3, 1, 3, 0])
    np.testing.assert_allclose(table.encode_packed(packed.take(chosen)), table.encode(texts)[chosen], atol=1e-5)


def test_an_embedding_begins_with_word_vectors_and_rare_terms_are_unknown():
    texts = [["a", "b"], ["a", "b"], ["a", "rare"]]
    table = fit_encoder(Embedding(dim=4, ngrams=(1, 2)), texts, sentences=texts, seed=0)
    assert set(table.terms) == {"a", "b", "a b"}
    words = fit_encoder(Word2Vec(dim=4, pools=("mean",)), texts, sentences=texts, seed=0)
    a, b, both = (table.vectors[table.terms.index(term)] for term in ("a", "b", "a b"))
    np.testing.assert_allclose(both, (a + b) / 2, rtol=1e-5)
    ratio = a / words.encode([["a"]])[0]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)


def test_a_context_takes_no_word_vectors():
    with pytest.raises(OptionError, match="init = 'random'"):
        fit_encoder(Embedding(), TEXTS, sentences=TEXTS, seed=0, are_terms=True)
    assert fit_encoder(Embedding(init="random"), TEXTS, sentences=[], seed=0, are_terms=True).dim == 100
    with pytest.raises(OptionError, match="'lsa' or 'bits'"):
        fit_encoder(Word2Vec(), TEXTS, sentences=TEXTS, seed=0, are_terms=True)
