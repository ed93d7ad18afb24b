"""A trainable embedding: what training computes from packed terms is what the frozen encoder and the run's graph compute."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.network.embedding import PooledEmbedding, freeze, with_embeddings
from dialog_policy.network.layers import build_network, weights_of, windowed
from dialog_policy.runtime.onnx_graph import onnx_graph
from dialog_policy.runtime.onnx_network import OnnxNetwork
from dialog_policy.text.embedding import PADDING_ID
from dialog_policy.text.encoders import Bits, Embedding
from tests.strategies import ACTIONS, corpora

# JAX compiles for every shape: fewer of them there.
IS_JAX = keras.backend.backend() == "jax"
EXAMPLES = 3 if IS_JAX else 12
V, D = 5, 3
ROWS = 3

TRAIN = Corpus(
    Dialogue(
        id=str(i),
        turns=(
            Turn(user="hello cheap food", context={"results": [{"name": "x"}]}, actions=frozenset(["ask"])),
            Turn(user="yes no", actions=frozenset(["bye", "greet"]), system="no please north"),
        ),
    )
    for i in range(3)
)


@pytest.fixture(scope="module")
def encoder():
    """Trainable tables first, between others and last in their parts; one with bigrams and both pools."""
    both = Embedding(dim=2, ngrams=(1, 2), pools=("sum", "mean"), init="random", word_dropout=0.5)
    return fit_turn_encoder(
        TRAIN,
        ActionSpace(ACTIONS),
        EncoderSettings(
            user=(Bits(max_terms=4), Embedding(dim=3), Bits(max_terms=2)),
            system=(both,),
            context=(Embedding(dim=2, init="random"), Bits(max_terms=3)),
        ),
    )


class Case:
    """A network with embeddings, as training has it under a strategy, whose vectors are no longer those that it began with."""

    def __init__(self, encoder, strategy):
        self.strategy = strategy
        some = encode_dialogues(TRAIN, encoder)
        self.network = build_network(some.n_features, some.n_actions, hidden=(5,), dropout=0.5, seed=1)
        inner = windowed(self.network, ROWS) if strategy == "window" else self.network
        self.model = with_embeddings(inner, some, seed=1)
        random = np.random.default_rng(1)
        for layer in self.model.layers:
            if isinstance(layer, PooledEmbedding):  # padding's too, which must not matter
                layer.vectors.assign(random.normal(size=layer.vectors.shape))
        freeze(self.model, some)
        self.served = TurnEncoder.from_parts(*encoder.to_parts(), encoder.actions)
        self.graph = OnnxNetwork(onnx_graph(weights_of(self.network)))


@pytest.fixture(params=["bucket", "window"])
def case(encoder, request):
    return Case(encoder, request.param)


def test_what_is_trained_is_what_is_served_in_any_company(encoder, case):
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(corpus=corpora(max_dialogues=2, max_turns=3) if IS_JAX else corpora(), seed=st.integers(0, 99))
    def check(corpus, seed):
        dialogues = list(corpus) * ROWS
        encoded = encode_dialogues(dialogues, encoder)
        batches = DialogueBatches(encoded, ROWS, strategy=case.strategy, window=2, packed=True, seed=seed)
        trained = np.full((int(encoded.offsets[-1]), encoded.n_actions), np.nan, dtype=np.float32)
        for index in range(len(batches)):
            turns = batches.turns(index)
            trained[turns[turns >= 0]] = case.model.predict_on_batch(batches[index][0])[turns >= 0]
        for number, dialogue in enumerate(dialogues):
            own = slice(encoded.offsets[number], encoded.offsets[number + 1])
            x = encode_dialogues([dialogue], case.served).features(np.arange(len(dialogue))[None])
            np.testing.assert_allclose(case.graph.run(x, case.graph.start(1)).logits[0], trained[own], atol=1e-5)
            # The same features from what was packed for training: dev turns are predicted by them.
            np.testing.assert_allclose(encoded.features(np.arange(own.start, own.stop)), x[0], atol=1e-5)

    check()


def packed(texts, filling):
    """Terms, texts and shares of a batch with room for three more texts."""
    ids = [i for text in texts for i in text]
    owner = [n for n, text in enumerate(texts) for _ in text]
    shares = [1 / len(text) if text else 0.0 for text in texts] + [0.0] * 3
    return (
        np.array(ids + [PADDING_ID] * filling, dtype=np.int32),
        np.array(owner + [len(texts) + 2] * filling, dtype=np.int32),
        np.array(shares, dtype=np.float32),
    )


def gradient(layer, inputs, upstream):
    """Gradient of the sum of outputs × upstream for the vectors."""
    if IS_JAX:
        import jax

        others = [v.value for v in layer.non_trainable_variables]
        total = lambda vectors: (layer.stateless_call([vectors], others, *inputs)[0] * upstream).sum()  # noqa: E731
        return np.array(jax.grad(total)(layer.vectors.value))
    import tensorflow as tf

    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(*inputs) * upstream)
    computed = tape.gradient(total, layer.vectors.value)
    assert isinstance(computed, tf.Tensor), (
        "one row a term, not one an occurrence, or AdamW squares occurrences one by one"
    )
    return computed.numpy()


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    texts=st.lists(st.lists(st.integers(1, V + 1), max_size=6), min_size=1, max_size=4),
    filling=st.integers(0, 5),
    seed=st.integers(0, 99),
    pools=st.sampled_from([("mean",), ("sum",), ("sum", "mean")]),
)
def test_output_and_gradient_are_those_of_a_dense_product(texts, filling, seed, pools):
    """One-hot rows, pooled, times the vectors; padding has no row. In every batch some turns are padding."""
    random = np.random.default_rng(seed)
    layer = PooledEmbedding(V, D, pools=pools, word_dropout=0.9, seed=0)
    rows = np.array([[random.integers(len(texts)), len(texts) + 2], [random.integers(len(texts)), len(texts)]])
    inputs = *packed(texts, filling), rows.astype(np.int32)
    layer(*inputs)
    vectors = random.normal(size=(V + 2, D)).astype(np.float32)
    layer.vectors.assign(vectors)

    counts = np.array([np.bincount(text, minlength=V + 2) for text in texts] + [np.zeros(V + 2)] * 3)
    shares = 1 / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    dense = [(counts * shares if pool == "mean" else counts)[rows] for pool in pools]
    expected = np.concatenate([one_hot @ vectors for one_hot in dense], axis=-1)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(*inputs)), expected, atol=1e-5)

    upstream = random.normal(size=expected.shape).astype(np.float32)
    computed = gradient(layer, inputs, upstream)
    parts = np.split(upstream, len(pools), axis=-1)
    own = [np.einsum("btv,btd->vd", one_hot, part) for one_hot, part in zip(dense, parts, strict=True)]
    np.testing.assert_allclose(computed, sum(own), atol=1e-5)
    assert not computed[PADDING_ID].any()


def test_training_takes_some_terms_for_unknown_and_never_padding():
    layer = PooledEmbedding(V, 1, pools=("sum",), word_dropout=0.25, seed=3)
    inputs = *packed([[1, 2, 3, 4] * 500], 48), np.array([[0, 3]], dtype=np.int32)
    layer(*inputs)
    layer.vectors.assign(np.eye(V + 2)[:, -1:])
    dropped, padding = ops.convert_to_numpy(layer(*inputs, training=True)).ravel()
    assert 400 < dropped < 600
    assert padding == 0
    assert not ops.convert_to_numpy(layer(*inputs)).any()
    assert dropped != ops.convert_to_numpy(layer(*inputs, training=True)).ravel()[0]


def test_a_saved_layer_is_loaded_again():
    layer = PooledEmbedding(V, D, pools=("mean",), word_dropout=0.1, seed=2, name="e")
    assert PooledEmbedding.from_config(layer.get_config()).get_config() == layer.get_config()
