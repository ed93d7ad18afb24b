from functools import partial

import keras
import numpy as np
import pytest

from dialog_policy.errors import OptionError
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.network.turns import TurnAccuracy, TurnMean, predict_turns

LENGTHS = [2] * 5 + [6] * 3 + [1]


def encoded(lengths=LENGTHS):
    random = np.random.default_rng(3)
    return EncodedDialogues.from_arrays(
        [random.normal(size=(n, 3)) for n in lengths],
        [random.random((n, 2)) < 0.5 for n in lengths],
        [random.random(n) < 0.7 for n in lengths],
    )


def a_model(bias=0.0):
    keras.utils.set_random_seed(0)
    lstm = keras.layers.LSTM(4, return_sequences=True)
    head = keras.layers.Dense(2, bias_initializer=keras.initializers.Constant(bias))
    return keras.Sequential([keras.Input((None, 3)), lstm, head])


def compiled(*metrics):
    model = a_model()
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile("adam", loss, weighted_metrics=[TurnAccuracy(0.0), TurnMean(loss, "turn_loss"), *metrics])
    return model


def by_hand(model, dialogues, weights):
    """Return turn accuracy and loss, in NumPy, from each dialogue alone."""
    logits = np.concatenate(
        [model.predict_on_batch(dialogues.features(dialogues.padded_turns([n])))[0] for n in range(len(dialogues))]
    )
    targets = dialogues.targets(np.arange(len(logits)))
    right = ((logits > 0) == (targets > 0.5)).all(axis=1)
    loss = (np.logaddexp(0, logits) - targets * logits).mean(axis=1)
    return np.average(right, weights=weights), np.average(loss, weights=weights)


def test_a_mean_over_turns_is_the_mean_over_turns_however_they_are_batched():
    dialogues, model = encoded(), compiled()
    for strategy, weighting in (("bucket", "turn"), ("exact", "dialogue"), ("pad", "dialogue"), ("single", "turn")):
        weights = dialogues.is_target.astype(float)
        if weighting == "dialogue":
            weights *= np.repeat(dialogues.dialogue_weights(), dialogues.lengths)
        batches = DialogueBatches(dialogues, 4, strategy=strategy, weighting=weighting)
        figures = model.evaluate(batches, verbose=0, return_dict=True)
        assert [figures["turn_accuracy"], figures["turn_loss"]] == pytest.approx(
            by_hand(model, dialogues, weights), rel=1e-5
        )


def test_windows_too():
    dialogues = encoded()
    batches = DialogueBatches(dialogues, 4, strategy="window", window=3)
    metric, model = TurnAccuracy(0.0), a_model()
    logits = predict_turns(model, dialogues)
    for number in range(len(batches)):
        turns = batches.turns(number)
        metric.update_state(
            batches[number][1], np.where(turns[..., None] < 0, np.nan, logits[turns]), batches[number][2]
        )
    np.testing.assert_allclose(float(metric.result()), by_hand(model, dialogues, dialogues.is_target)[0], rtol=1e-6)


def test_keras_own_metric_is_far_off_where_ours_is_right():
    # The case of the documentation: right in long dialogues, wrong in short ones.
    lengths = [2] * 8 + [40] * 8
    dialogues = EncodedDialogues.from_arrays(
        [np.full((n, 1), float(n == 40)) for n in lengths], [np.ones((n, 1)) for n in lengths]
    )
    model = keras.Sequential([keras.Input((None, 1)), keras.layers.Identity()])
    theirs = keras.metrics.BinaryAccuracy(name="theirs")
    model.compile(loss="mse", weighted_metrics=[TurnAccuracy(), TurnMean(keras.metrics.binary_accuracy), theirs])
    figures = model.evaluate(DialogueBatches(dialogues, 8), verbose=0, return_dict=True)
    assert figures["turn_accuracy"] == pytest.approx(320 / 336)
    assert figures["turn_binary_accuracy"] == pytest.approx(320 / 336)
    assert figures["theirs"] == pytest.approx(0.5)


def test_early_stopping_can_follow_it():
    model, batches = compiled(), DialogueBatches(encoded(), 8)
    stopping = keras.callbacks.EarlyStopping(monitor="val_turn_loss", mode="min", patience=1)
    history = model.fit(batches, validation_data=batches, epochs=1, shuffle=False, verbose=0, callbacks=[stopping])
    assert stopping.best == history.history["val_turn_loss"][0]
    assert stopping.best == pytest.approx(by_hand(model, encoded(), encoded().is_target)[1], rel=1e-5)


def test_saved_and_loaded_with_a_model_it_is_the_same():
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    random = np.random.default_rng(0)
    logits = random.normal(size=(4, 3, 2))
    batch = np.where(random.random((4, 3, 1)) < 0.5, logits > 0, 0).astype("float32"), logits, np.ones((4, 3))
    for metric in (TurnAccuracy(0.0), TurnMean(loss, "turn_loss"), TurnMean(keras.metrics.binary_accuracy)):
        loaded = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
        assert loaded.name == metric.name
        assert float(loaded(*batch)) == float(metric(*batch)) > 0


def test_every_turn_has_its_output_in_the_order_of_the_corpus():
    dialogues, model = encoded(), a_model()
    rows = np.split(predict_turns(model, dialogues), dialogues.offsets[1:-1])
    for number, row in enumerate(rows):
        alone = model.predict_on_batch(dialogues.features(dialogues.padded_turns([number])))[0]
        np.testing.assert_allclose(row, alone, atol=1e-6)


def of_layer(layer, **options):
    return keras.Sequential([keras.Input((None, 3), **options), layer])


def test_a_model_that_looks_ahead_or_remembers_is_refused():
    lstm = partial(keras.layers.LSTM, 4, return_sequences=True, bias_initializer="ones")
    entry = keras.Input((None, 3))
    attentive = keras.Model(entry, keras.layers.Attention()([entry, entry]))
    ahead = [
        of_layer(keras.layers.Bidirectional(lstm())),
        of_layer(keras.layers.Conv1D(4, 3, padding="same")),
        attentive,
    ]
    for model in (*ahead, of_layer(lstm(stateful=True), batch_size=1)):
        with pytest.raises(
            OptionError, match="depends on what follows it, such as padding, or on what was computed before"
        ):
            predict_turns(model, encoded())
    for layer in (lstm(), keras.layers.GRU(4, return_sequences=True), keras.layers.Conv1D(4, 3, padding="causal")):
        assert predict_turns(of_layer(layer), encoded()).shape[1] == 4


def test_empty_dialogues_have_no_rows():
    dialogues = EncodedDialogues.from_arrays(
        [np.zeros((n, 3)) for n in (0, 2, 0)], [np.zeros((n, 2)) for n in (0, 2, 0)]
    )
    assert predict_turns(of_layer(keras.layers.LSTM(4, return_sequences=True)), dialogues).shape == (2, 4)


def test_mistakes_are_named():
    entry = keras.Input((None, 3))
    both = keras.Model(entry, [keras.layers.Dense(n)(entry) for n in (2, 3)])
    with pytest.raises(OptionError, match="found a list"):
        predict_turns(both, encoded())
    many_to_one = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(4)])
    with pytest.raises(OptionError, match="return_sequences=True"):
        predict_turns(many_to_one, encoded())
    with pytest.raises(OptionError, match=r"weighted_metrics=\[…\] of `compile`"):
        TurnAccuracy()(np.ones((1, 2, 3)), np.ones((1, 2, 3)))
    with pytest.raises(OptionError, match=r"a value for every turn, shape \(1, 2\), or several; found \(\)"):
        TurnMean(lambda truth, predicted: np.sum(predicted), "sum")(
            np.ones((1, 2, 3)), np.ones((1, 2, 3)), np.ones((1, 2))
        )
