"""The network against a plain NumPy LSTM in float64, over random numbers of dialogues and turns.

An upgrade of Keras is judged by these tests: 3.14.0 to 3.15.1 fail them when the number of steps changes between batches.
"""

import itertools

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from dialog_policy.corpus import ActionSpace
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.network.config import NetworkConfig
from dialog_policy.network.layers import build_network, plain_network, weights_of, windowed
from dialog_policy.network.loss import ActionLoss
from dialog_policy.network.lstm import HoistedLSTM
from dialog_policy.network.training import Validation, train_network
from dialog_policy.network.turns import predict_turns
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.onnx_graph import onnx_graph
from dialog_policy.runtime.onnx_network import OnnxNetwork
from tests.reference import prior_by_hand

F, K = 6, 4
# JAX compiles for every shape: fewer of them there.
IS_JAX = keras.backend.backend() == "jax"
EXAMPLES = 3 if IS_JAX else 15


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


@pytest.fixture(scope="module")
def mixed(network):
    """The same network in mixed precision, at once and by windows of three rows."""
    hidden = [layer.units for layer in network.layers if isinstance(layer, keras.layers.LSTM)]
    mixed_network = build_network(F, K, hidden=hidden, dropout=0.5, seed=2, precision="mixed")
    mixed_network.set_weights(network.get_weights())
    return mixed_network, windowed(mixed_network, 3)


def random_dialogues(seed, lengths):
    random = np.random.default_rng(seed)
    return EncodedDialogues.from_arrays(
        [random.normal(size=(n, F)) for n in lengths],
        [random.random((n, K)) < 0.4 for n in lengths],
        [random.random(n) < 0.8 for n in lengths],
    )


lengths = st.lists(st.sampled_from([1, 4]) if IS_JAX else st.integers(1, 12), min_size=1, max_size=3 if IS_JAX else 7)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_every_real_turn_is_that_of_the_reference(network, lengths, seed):
    encoded = random_dialogues(seed, lengths)
    computed = predict_turns(network, encoded)
    weights = weights_of(network)
    for start, end in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True):
        expected = reference(encoded.features(np.arange(start, end)), weights)
        np.testing.assert_allclose(computed[start:end], expected, atol=1e-5)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_mixed_precision_is_the_same_but_for_rounding(network, mixed, lengths, seed):
    encoded = random_dialogues(seed, [*lengths, 4, 4, 9])
    computed, exact = predict_turns(mixed[0], encoded), predict_turns(network, encoded)
    assert computed.dtype == np.float32
    assert (computed != exact).any()
    np.testing.assert_allclose(computed, exact, atol=0.1)
    begin = encoded.padded_turns([0, 1, 2])[:, :4]
    x = {"features": encoded.features(begin), "fresh": np.ones((3, 1), dtype=np.float32)}
    np.testing.assert_allclose(mixed[1].predict_on_batch(x)[begin >= 0], exact[begin[begin >= 0]], atol=0.1)


@settings(max_examples=EXAMPLES, deadline=None)
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


@settings(max_examples=EXAMPLES, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99))
def test_the_graph_is_the_network_at_once_and_turn_by_turn(network, lengths, seed):
    encoded = random_dialogues(seed, lengths)
    turns = encoded.padded_turns(range(len(lengths)))
    x = encoded.features(turns)
    expected = network.predict_on_batch(x)
    graph = OnnxNetwork(onnx_graph(weights_of(network)))
    np.testing.assert_allclose(graph.run(x, graph.start(len(x))).logits, expected, atol=1e-5)
    state = graph.start(len(x))
    for step in range(x.shape[1]):
        logits, state = graph.run(x[:, step : step + 1], state)
        np.testing.assert_allclose(logits[:, 0], expected[:, step], atol=1e-5)


@pytest.mark.parametrize("shapes", [[(2, 4), (2, 7), (2, 5)], [(3, 3), (5, 3), (1, 9), (4, 1)]])
def test_lengths_of_outputs_follow_those_of_inputs(network, shapes):
    model = plain_network(weights_of(network), dropout=0.1, single_action=True)
    for batch, time in shapes:
        computed = model.predict(np.zeros((batch, time, F), dtype=np.float32), verbose=0)
        assert computed.shape == (batch, time, K)
        np.testing.assert_allclose(computed.sum(axis=-1), 1, rtol=1e-5)


def gradients(network, x, y, w, single):
    loss = ActionLoss(single_action=single)
    if keras.backend.backend() == "jax":
        import jax

        def value_of(weights, others, x, y, w):
            return loss(y, network.stateless_call(weights, others, x)[0], sample_weight=w)

        variables = [[v.value for v in each] for each in (network.trainable_variables, network.non_trainable_variables)]
        value, computed = jax.jit(jax.value_and_grad(value_of))(*variables, x, y, w)
        return float(value), [np.array(g) for g in computed]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss(y, network(x, training=False), sample_weight=w)
    return float(value), [np.array(g) for g in tape.gradient(value, network.trainable_variables)]


@pytest.mark.parametrize("weighting", ["turn", "dialogue"])
@pytest.mark.parametrize("single", [True, False])
@settings(max_examples=3 if IS_JAX else 8, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99), strategy=st.sampled_from(["bucket", "exact", "pad"]))
def test_loss_and_gradients_are_those_of_the_real_turns(network, single, weighting, lengths, seed, strategy):
    """A batch, padded and filled up, against its dialogues one by one; each turn weighs the same, or each dialogue."""
    encoded = random_dialogues(seed, lengths)
    batches = DialogueBatches(encoded, 3, strategy=strategy, weighting=weighting, seed=seed)
    x, y, w = batches[0]
    turns = batches.turns(0)
    dialogues = np.unique(np.searchsorted(encoded.offsets, turns[turns >= 0], side="right") - 1)
    counts = [encoded.weights(encoded.padded_turns([d])).sum() for d in dialogues]
    if not any(counts):
        return
    loss, computed = gradients(network, x, y, w, single)
    shares = np.array(counts if weighting == "turn" else [count > 0 for count in counts], dtype=float)
    expected_loss, expected = 0.0, [0.0] * len(computed)
    for d, share in zip(dialogues, shares / shares.sum(), strict=True):
        own = encoded.padded_turns([d])
        if share:
            part, parts = gradients(network, encoded.features(own), encoded.targets(own), encoded.weights(own), single)
            expected_loss += part * share
            expected = [a + b * share for a, b in zip(expected, parts, strict=True)]
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-5)
    for mine, theirs in zip(computed, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)


@settings(max_examples=EXAMPLES, deadline=None)
@given(lengths=lengths, seed=st.integers(0, 99), window=st.integers(1, 4))
def test_a_window_at_a_time_is_the_whole_dialogue(network, lengths, seed, window):
    encoded = random_dialogues(seed, lengths)
    batches = DialogueBatches(encoded, 3, strategy="window", window=window, seed=seed)
    model = windowed(network, batches.batch_size)
    computed = np.full((sum(lengths), K), np.nan, dtype=np.float32)
    for index in range(len(batches)):
        x, y, w = batches[index]
        turns = batches.turns(index)
        real = turns >= 0
        computed[turns[real]] = model.predict_on_batch(x)[real]
        np.testing.assert_array_equal(y[real], encoded.targets(turns[real]))
        assert not w[~real].any()
    np.testing.assert_allclose(computed, predict_turns(network, encoded), atol=1e-5)


def reference_gradients(lstm, x, upstream):
    """Gradients of the sum of outputs × upstream for Keras' own LSTM with the same weights."""
    own = keras.layers.LSTM(lstm.units, return_sequences=True)
    own(x)
    own.set_weights(lstm.get_weights())
    return own, gradients_of(own, x, upstream)


def gradients_of(layer, x, upstream):
    if keras.backend.backend() == "jax":
        import jax

        def total(weights, x, others, upstream):
            return (layer.stateless_call(weights, others, x)[0] * upstream).sum()

        variables = [[v.value for v in each] for each in (layer.trainable_variables, layer.non_trainable_variables)]
        weights, inputs = jax.jit(jax.grad(total, argnums=(0, 1)))(variables[0], x, variables[1], upstream)
        return [np.array(g) for g in (*weights, inputs)]
    import tensorflow as tf

    inputs = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs) * upstream)
    return [np.array(g) for g in tape.gradient(total, [*layer.trainable_variables, inputs])]


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    batch=st.integers(1, 4) | st.integers(16, 19) | st.integers(96, 97), time=st.integers(1, 9), seed=st.integers(0, 99)
)
def test_the_lstm_and_its_gradient_are_those_of_keras(batch, time, seed):
    random = np.random.default_rng(seed)
    x = random.normal(size=(batch, time, F)).astype(np.float32)
    upstream = random.normal(size=(batch, time, 5)).astype(np.float32)
    lstm = HoistedLSTM(5)
    lstm(x)
    lstm.set_weights([random.normal(size=w.shape) for w in lstm.get_weights()])
    own, expected = reference_gradients(lstm, x, upstream)
    np.testing.assert_allclose(np.array(lstm(x)), np.array(own(x)), atol=1e-5)
    for mine, theirs in zip(gradients_of(lstm, x, upstream), expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-4)


def test_what_the_lstm_does_not_do_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="look ahead"):
        HoistedLSTM(3, go_backwards=True)
    with pytest.raises(ValueError, match="look ahead"):
        keras.layers.Bidirectional(HoistedLSTM(3))
    with pytest.raises(ValueError, match="weight 0"):
        HoistedLSTM(3)(np.zeros((1, 2, F), dtype=np.float32), mask=np.ones((1, 2), dtype=bool))


def test_a_saved_network_is_loaded_again(network, tmp_path):
    x = np.random.default_rng(0).normal(size=(2, 3, F)).astype(np.float32)
    network.save(tmp_path / "network.keras")
    np.testing.assert_array_equal(
        keras.saving.load_model(tmp_path / "network.keras").predict_on_batch(x), network.predict_on_batch(x)
    )


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


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_likelihood_of_the_set_among_all_sets(smoothing):
    space, random = ActionSpace(list("abcd")), np.random.default_rng(0)
    seen = [frozenset(s) for s in ("a", "a", "ab", "c", "")]
    decoder = Decoder.fit(space, seen, single_action=False)
    everything = [frozenset(s) for n in range(5) for s in itertools.combinations("abcd", n)]
    logits = random.normal(size=(3, 4)).astype(np.float32) * 2
    bits = space.transform(everything)
    prior, odds = prior_by_hand(seen, everything)
    scores = (logits.astype(np.float64) - [odds[name] for name in "abcd"]) @ bits.T + [
        np.log(prior[s]) for s in everything
    ]
    logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
    loss = ActionLoss(single_action=False, prior=decoder.prior, label_smoothing=smoothing)
    for gold in ("ab", "", "bd"):
        y = np.broadcast_to(space.transform([frozenset(gold)]), (3, 4))
        evenly = logs[:, [everything.index(s) for s in set(seen)]].mean(axis=1)
        expected = -(1 - smoothing) * logs[:, everything.index(frozenset(gold))] - smoothing * evenly
        np.testing.assert_allclose(ops.convert_to_numpy(loss.call(y[None], logits[None]))[0], expected, rtol=1e-5)


def test_training_begins_with_how_often_each_action_occurs():
    y = np.array([[1, 0], [1, 0], [0, 0], [1, 1]], dtype=np.float32)
    encoded = EncodedDialogues.from_arrays([np.zeros((4, 3), dtype=np.float32)], [y], [[True, True, True, False]])
    np.testing.assert_allclose(encoded.action_rates(), [2.5 / 4, 0.5 / 4])
    decoder = Decoder.fit(ActionSpace(list("ab")), [frozenset("a"), frozenset("a"), frozenset()], single_action=False)
    config = NetworkConfig(epochs=1, learning_rate=1e-12, hidden=4)
    trained = train_network(encoded, None, decoder, config)
    logits = predict_turns(trained.network, encoded)
    np.testing.assert_allclose(1 / (1 + np.exp(-logits)), np.broadcast_to([2.5 / 4, 0.5 / 4], (4, 2)), rtol=1e-5)


@pytest.mark.parametrize("strategy", ["bucket", "window"])
def test_training_in_mixed_precision_leaves_a_network_in_full_precision(strategy):
    """It learns, from another rounding, about what full precision learns."""
    encoded = random_dialogues(0, [4, 9, 4, 1, 9, 4])
    decoder = Decoder.fit(ActionSpace(list("abcd")), [], single_action=False)
    logits = {}
    for precision in ("float32", "mixed"):
        config = NetworkConfig(
            epochs=8,
            learning_rate=0.01,
            hidden=8,
            batch_size=3,
            batches=strategy,
            window=3,
            dropout=0.0,
            precision=precision,
        )
        trained = train_network(encoded, None, decoder, config)
        assert {layer.compute_dtype for layer in trained.network.layers} == {"float32"}
        assert trained.history[-1]["loss"] < trained.history[0]["loss"]
        logits[precision] = predict_turns(trained.network, encoded)
    assert (logits["mixed"] != logits["float32"]).any()
    np.testing.assert_allclose(logits["mixed"], logits["float32"], atol=0.1)


class Steps(keras.callbacks.Callback):
    """Averages the weights after every step by hand."""

    def __init__(self, momentum):
        super().__init__()
        self.momentum, self.average, self.epochs = momentum, None, []

    def on_train_batch_end(self, batch, logs=None):
        if IS_JAX:
            self.model.jax_state_sync()
        now = [weight.astype(np.float64) for weight in self.model.get_weights()]
        before = self.average or now
        self.average = [self.momentum * old + (1 - self.momentum) * new for old, new in zip(before, now, strict=True)]

    def on_epoch_end(self, epoch, logs=None):
        self.epochs.append(self.average)


@pytest.mark.parametrize("has_dev", [False, True])
def test_averages_of_the_weights_are_judged_and_kept(has_dev):
    encoded = random_dialogues(0, [4, 9, 4, 1, 9, 4])
    space = ActionSpace(list("abcd"))
    sets = [
        frozenset(space.classes_[bit] for bit in np.flatnonzero(bits)) for bits in encoded.goals[0][encoded.goals[1]]
    ]
    targets = np.flatnonzero(encoded.is_target)
    gold = [actions if is_target else None for actions, is_target in zip(sets, encoded.is_target, strict=True)]
    decoder = Decoder.fit(space, [], single_action=False)
    # Three batches an epoch, and a fifth of thirty steps.
    config = NetworkConfig(epochs=10, learning_rate=0.2, hidden=8, batch_size=2, averaging=0.2, patience=10)
    steps = Steps(1 - 1 / 6)
    trained = train_network(encoded, Validation(encoded, gold) if has_dev else None, decoder, config, callbacks=[steps])
    accuracies, likelihoods = [], []
    for weights in steps.epochs:
        network = build_network(F, K, hidden=(8,), dropout=0.0, seed=0)
        network.set_weights(weights)
        logits = predict_turns(network, encoded)
        accuracies.append(decoder.judge(logits, gold)[0].mean())
        likelihoods.append(decoder.log_probabilities(logits[targets], [sets[turn] for turn in targets]).mean())
    assert len(set(accuracies)) > 3
    kept = len(accuracies) - 1
    if has_dev:
        assert [epoch["dev_turn_accuracy"] for epoch in trained.history] == accuracies
        assert [epoch["dev_log_likelihood"] for epoch in trained.history] == pytest.approx(likelihoods, rel=1e-4)
        kept = int(np.argmax(likelihoods))
    for mine, expected in zip(trained.network.get_weights(), steps.epochs[kept], strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-4, atol=1e-6)


def test_balanced_weights_are_scikit_learns():
    from sklearn.utils.class_weight import compute_class_weight

    y = np.array([0, 0, 0, 1, 2, 2])
    theirs = compute_class_weight("balanced", classes=np.arange(3), y=y)
    encoded = EncodedDialogues.from_arrays([np.zeros((6, 1), dtype=np.float32)], [np.eye(3, dtype=np.float32)[y]])
    np.testing.assert_allclose(encoded.balanced_weights(), theirs[y])
