"""The network against a plain NumPy LSTM in float64, over random numbers of dialogues and turns.

An upgrade of Keras is judged by these tests: 3.14.0 to 3.15.1 fail them when the number of steps changes between batches.
"""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.network.export import export_onnx
from dialog_policy.network.layers import build_network, weights_of, with_probabilities
from dialog_policy.network.loss import ActionLoss, balanced_weights
from dialog_policy.network.training import predict_logits
from dialog_policy.runtime.graph import Graph

F, K = 6, 4


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def reference(x, weights):
    """Logits of one dialogue, shape (T, F), by the equations of an LSTM (Hochreiter & Schmidhuber 1997, with forget gate)."""
    lstms = [[weights[f"lstm_{n}.{part}"] for part in ("kernel", "recurrent_kernel", "bias")] for n in range(2)
             if f"lstm_{n}.bias" in weights]  # fmt: skip
    kernel, bias = weights["head.kernel"], weights["head.bias"]
    below = x.astype(np.float64)
    for w, u, b in lstms:
        h, c, outputs = np.zeros(u.shape[0]), np.zeros(u.shape[0]), []
        for step in below:
            i, f, g, o = np.split(step @ w.astype(np.float64) + h @ u.astype(np.float64) + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            outputs.append(h)
        below = np.array(outputs)
    return np.concatenate([x, below], axis=1) @ kernel + bias


@pytest.fixture(scope="module", params=[(5,), (7, 3)], ids=["one layer", "two layers"])
def network(request):
    return build_network(F, K, hidden=request.param, dropout=0.5, seed=1)


def random_dialogues(seed, lengths):
    random = np.random.default_rng(seed)
    x = random.normal(size=(sum(lengths), F)).astype(np.float32)
    y = (random.random((sum(lengths), K)) < 0.4).astype(np.float32)
    rows = np.arange(sum(lengths), dtype=np.int32)
    zero = np.zeros((1, F), dtype=np.float32)
    return EncodedDialogues(
        [str(i) for i in range(len(lengths))],
        np.cumsum([0, *lengths]),
        [(np.concatenate([x, zero]), rows)],
        (np.concatenate([y, np.zeros((1, K), dtype=np.float32)]), rows),
        random.random(sum(lengths)) < 0.8,
    )


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=7)


@settings(max_examples=25, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_every_real_turn_is_that_of_the_reference(network, lengths, seed):
    encoded = random_dialogues(seed, lengths)
    found = predict_logits(network, encoded)
    weights = weights_of(network)
    for start, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True):
        expected = reference(encoded.features(np.arange(start, end)), weights)
        np.testing.assert_allclose(found[start:end], expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99), garbage=st.floats(-1e3, 1e3))
def test_padding_and_company_change_nothing(network, lengths, seed, garbage):
    encoded = random_dialogues(seed, lengths)
    turns = encoded.padded_turns(range(len(lengths)), max(lengths) + 3)
    x = encoded.features(turns)
    x[turns < 0] = garbage
    together = network.predict_on_batch(x)
    for row, n in enumerate(lengths):
        alone = network.predict_on_batch(x[row : row + 1, :n])
        np.testing.assert_allclose(together[row, :n], alone[0], atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_the_graph_is_the_network_at_once_and_turn_by_turn(network, lengths, seed):
    encoded = random_dialogues(seed, lengths)
    turns = encoded.padded_turns(range(len(lengths)))
    x = encoded.features(turns)
    expected = network.predict_on_batch(x)
    graph = Graph(export_onnx(weights_of(network)))
    np.testing.assert_allclose(graph.run(x, graph.start(len(x))).logits, expected, atol=1e-5)
    state = graph.start(len(x))
    for step in range(x.shape[1]):
        logits, state = graph.run(x[:, step : step + 1], state)
        np.testing.assert_allclose(logits[:, 0], expected[:, step], atol=1e-5)


@pytest.mark.parametrize("shapes", [[(2, 4), (2, 7), (2, 5)], [(3, 3), (5, 3), (1, 9), (4, 1)]])
def test_lengths_of_outputs_follow_those_of_inputs(network, shapes):
    model = with_probabilities(network, single_action=True)
    for batch, time in shapes:
        found = model.predict(np.zeros((batch, time, F), dtype=np.float32), verbose=0)
        assert found.shape == (batch, time, K)
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)


def gradients(network, x, y, w, single):
    import tensorflow as tf

    loss = ActionLoss(single_action=single)
    with tf.GradientTape() as tape:
        value = loss(y, network(x, training=False), sample_weight=w)
    return float(value), [np.array(g) for g in tape.gradient(value, network.trainable_variables)]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="takes gradients with TensorFlow's tape")
@pytest.mark.parametrize("single", [True, False])
@settings(max_examples=10, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_loss_and_gradients_are_those_of_the_real_turns(network, single, lengths, seed):
    encoded = random_dialogues(seed, lengths)
    if not encoded.is_target.any():
        return
    turns = encoded.padded_turns(range(len(lengths)), max(lengths) + 2)
    loss, found = gradients(network, encoded.features(turns), encoded.targets(turns), encoded.weights(turns), single)
    n = encoded.is_target.sum()
    expected_loss, expected = 0.0, [0.0] * len(found)
    for d in range(len(lengths)):
        own = encoded.padded_turns([d])
        weights = encoded.weights(own)
        if weights.any():
            part, parts = gradients(network, encoded.features(own), encoded.targets(own), weights, single)
            expected_loss += part * weights.sum() / n
            expected = [a + b * weights.sum() / n for a, b in zip(expected, parts, strict=True)]
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_loss_by_hand():
    logits, y = np.array([[[2.0, -1.0]]], dtype=np.float32), np.array([[[1.0, 0.0]]], dtype=np.float32)
    p = sigmoid(logits[0, 0].astype(np.float64))
    assert float(ActionLoss(single_action=False)(y, logits)) == pytest.approx(
        -np.log(p[0]) - np.log(1 - p[1]), rel=1e-5
    )
    softmax = np.exp(2.0) / (np.exp(2.0) + np.exp(-1.0))
    assert float(ActionLoss(single_action=True)(y, logits)) == pytest.approx(-np.log(softmax), rel=1e-5)
    smoothed = -0.75 * np.log(softmax) - 0.25 * np.log(1 - softmax)
    assert float(ActionLoss(single_action=True, label_smoothing=0.5)(y, logits)) == pytest.approx(smoothed, rel=1e-5)
    weights = np.array([[1, 3], [2, 1]], dtype=np.float32)
    weighted = ActionLoss(single_action=False, weights=weights)
    assert float(weighted(y, logits)) == pytest.approx(-2 * np.log(p[0]) - 3 * np.log(1 - p[1]), rel=1e-5)


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    y = np.array([0, 0, 0, 1, 2, 2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=y)
    mine = balanced_weights(np.bincount(y), len(y), single_action=True)
    np.testing.assert_allclose(mine[1], theirs, rtol=1e-6)
    bit = np.array([1, 0, 0, 0])
    theirs = compute_class_weight("balanced", classes=np.arange(2), y=bit)
    np.testing.assert_allclose(balanced_weights([1], 4, single_action=False)[:, 0], theirs, rtol=1e-6)


@settings(max_examples=30, deadline=None)
@given(lengths=lengths, batch_size=st.integers(1, 4), epoch=st.integers(0, 3))
def test_batches_hold_every_dialogue_once_and_differ_in_length_where_keras_looks(lengths, batch_size, epoch):
    encoded = random_dialogues(0, lengths)
    batches = DialogueBatches(encoded, batch_size, seed=5, epoch=epoch)
    shapes = [batches[i][0].shape for i in range(len(batches))]
    assert sum(shape[0] for shape in shapes) == len(lengths)
    assert sum(batches[i][2].sum() for i in range(len(batches))) == encoded.is_target.sum()
    assert sum(batches.turns_in(i) for i in range(len(batches))) == sum(lengths)
    if len(shapes) > 1:
        assert shapes[0][1] != shapes[1][1]
    again = DialogueBatches(encoded, batch_size, seed=5, epoch=0)
    for _ in range(epoch):
        again.on_epoch_end()
    for i in range(len(batches)):
        np.testing.assert_array_equal(batches[i][0], again[i][0])
