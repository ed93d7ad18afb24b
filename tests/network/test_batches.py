import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace, Corpus
from dialog_policy.errors import OptionError
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.network import batches as module
from dialog_policy.network.batches import DialogueBatches, evaluation_batches
from dialog_policy.network.lengths import few_lengths, sizes_and_lengths
from dialog_policy.testing import batch_checks, parametrize_with_checks
from dialog_policy.text.encoders import Embedding
from dialog_policy.text.tokens import tokenize
from tests.strategies import ACTIONS, corpora

STRATEGIES = ["bucket", "exact", "pad", "single", "window"]
some_lengths = st.lists(st.integers(1, 12), min_size=1, max_size=9)


def dialogues(lengths, seed=0):
    random = np.random.default_rng(seed)
    return EncodedDialogues.from_arrays(
        [random.normal(size=(n, 3)) for n in lengths],
        [random.random((n, 2)) < 0.5 for n in lengths],
        [random.random(n) < 0.7 for n in lengths],
    )


def padded_work(lengths, chosen):
    return sum(min(n for n in chosen if n >= length) for length in lengths)


@settings(max_examples=100, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=12), limit=st.integers(1, 5))
def test_no_other_few_lengths_cost_less(lengths, limit):
    chosen = few_lengths(lengths, limit)
    distinct = sorted(set(lengths))
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= limit
    assert chosen[-1] == distinct[-1]
    others = itertools.combinations(distinct[:-1], min(limit, len(distinct)) - 1)
    assert padded_work(lengths, chosen) == min(padded_work(lengths, (*other, distinct[-1])) for other in others)


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=40, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 4), epoch=st.integers(0, 3), window=st.integers(1, 5))
def test_every_turn_comes_once_and_is_itself(strategy, lengths, size, epoch, window):
    encoded = dialogues(lengths)
    batches = DialogueBatches(encoded, size, strategy=strategy, window=window, seed=5, epoch=epoch)
    seen = []
    for index in range(len(batches)):
        x, y, w = batches[index]
        x = x["features"] if strategy == "window" else x
        turns = batches.turns(index)
        real = turns >= 0
        seen += turns[real].tolist()
        assert len(turns) == batches.batch_size
        assert batches.turns_in(index) == real.sum() > 0
        np.testing.assert_array_equal(x[real], encoded.features(turns[real]))
        np.testing.assert_array_equal(y[real], encoded.targets(turns[real]))
        np.testing.assert_array_equal(w[real], encoded.is_target[turns[real]])
        assert not x[~real].any()
        assert not w[~real].any()
    assert sorted(seen) == list(range(sum(lengths)))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("limit", [None, 2])
def test_empty_dialogues_are_padding_of_a_step(strategy, limit):
    encoded = dialogues([0] * 9 + [3, 2])
    batches = DialogueBatches(encoded, 4, strategy=strategy, max_lengths=limit)
    for turns in ([batches.turns(i) for i in range(len(batches))], evaluation_batches(encoded, 3, limit)):
        assert all(part.shape[1] > 0 for part in turns)
        assert sorted(np.concatenate([part[part >= 0] for part in turns])) == list(range(5))
    assert all(batches[i][2].shape == batches.turns(i).shape for i in range(len(batches)))


@settings(max_examples=40, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 4), limit=st.integers(1, 3))
def test_each_strategy_keeps_its_shapes(lengths, size, limit):
    encoded = dialogues(lengths)

    def shapes(strategy, **options):
        batches = DialogueBatches(encoded, size, strategy=strategy, **options)
        return {batches.turns(i).shape for i in range(len(batches))}

    rows = min(size, len(lengths))
    evenly = math.ceil(len(lengths) / math.ceil(len(lengths) / size))
    assert shapes("pad") == {(evenly, max(lengths))}
    assert shapes("window", window=3) == {(rows, 3)}
    assert shapes("exact") == {(rows, n) for n in set(lengths)}
    assert shapes("single") == {(1, n) for n in set(lengths)}
    # One step more where the first two batches would have the same length although not all dialogues have.
    assert len(shapes("bucket", max_lengths=limit)) <= limit + 1


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=60),
    most=st.integers(1, 6),
    limit=st.integers(1, 5),
    epoch=st.integers(0, 3),
)
def test_where_shapes_are_few_no_epoch_is_padded_more(lengths, most, limit, epoch):
    def computed(sizes, padded):
        rows = [sizes[0] if size >= sizes[0] - 1 else size for size in sizes]
        ends = np.sort(lengths)[np.cumsum(sizes) - 1]
        return sum(row * min(n for n in padded if n >= end) for row, end in zip(rows, ends, strict=True))

    sizes, padded = sizes_and_lengths(lengths, most, limit)
    even = sizes_and_lengths(lengths, most, limit, even=True)
    assert sum(sizes) == sum(even[0]) == len(lengths)
    assert len(even[0]) == math.ceil(len(lengths) / most) <= len(sizes) <= len(even[0]) + 1
    assert len(padded) <= limit
    assert computed(sizes, padded) <= computed(*even)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "compiles", lambda: True)
        batches = DialogueBatches(dialogues(lengths), most, max_lengths=limit, epoch=epoch)
    turns = [batches.turns(i) for i in range(len(batches))]
    assert sorted(np.concatenate([turn[turn >= 0] for turn in turns]).tolist()) == list(range(sum(lengths)))
    # One more step where Keras is to see two lengths.
    assert sum(turn.size for turn in turns) <= computed(sizes, padded) + batches.batch_size


def test_the_longest_dialogues_are_a_smaller_batch_where_that_saves_padding():
    lengths = [5] * 70 + [6, 7, 20, 40]
    assert sizes_and_lengths(lengths, 8, 3) == ([9 - 1] * 9 + [2], [5, 7, 40])
    assert sizes_and_lengths(lengths, 8, 3, even=True)[0] == [8, 8, 8, 8, 7, 7, 7, 7, 7, 7]
    assert sizes_and_lengths(lengths[-40:], 8, 3)[0] == [8] * 5, "too few batches"


@pytest.mark.parametrize("strategy", ["bucket", "pad"])
@settings(max_examples=60, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 5))
def test_no_batch_is_much_smaller_than_another(strategy, lengths, size):
    batches = DialogueBatches(dialogues(lengths), size, strategy=strategy)
    filled = [int((batches.turns(i)[:, 0] >= 0).sum()) for i in range(len(batches))]
    assert len(batches) == math.ceil(len(lengths) / size)
    assert max(filled) == batches.batch_size <= size
    assert min(filled) >= batches.batch_size - 1


def _made(strategy):
    def make(encoded, batch_size, *, seed, epoch):
        return DialogueBatches(encoded, batch_size, strategy=strategy, window=5, seed=seed, epoch=epoch)

    return make


@parametrize_with_checks(check for strategy in STRATEGIES for check in batch_checks(strategy, _made(strategy)))
def test_contract(check):
    check()


@settings(max_examples=60, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 4), epoch=st.integers(0, 9))
def test_keras_sees_two_lengths_where_there_are_two(lengths, size, epoch):
    """Keras takes the shapes of the first two batches for those of all."""
    batches = DialogueBatches(dialogues(lengths), size, epoch=epoch)
    if len(batches) > 1 and len(set(lengths)) > 1:
        assert batches.turns(0).shape != batches.turns(1).shape


@settings(max_examples=40, deadline=None)
@given(lengths=some_lengths, strategy=st.sampled_from(STRATEGIES))
def test_every_dialogue_can_weigh_the_same(lengths, strategy):
    encoded = dialogues(lengths)
    batches = DialogueBatches(encoded, 3, strategy=strategy, weighting="dialogue", window=2)
    totals = np.zeros(len(lengths))
    of_turn = np.repeat(np.arange(len(lengths)), lengths)
    for index in range(len(batches)):
        turns, weights = batches.turns(index), batches[index][2]
        np.add.at(totals, of_turn[turns[turns >= 0]], weights[turns >= 0])
    has_targets = np.array([encoded.is_target[of_turn == d].any() for d in range(len(lengths))])
    assert not totals[~has_targets].any()
    if has_targets.any():
        np.testing.assert_allclose(totals[has_targets], encoded.is_target.sum() / has_targets.sum(), rtol=1e-5)


@settings(max_examples=40, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 4), limit=st.none() | st.integers(1, 3))
def test_evaluation_goes_through_every_turn_once(lengths, size, limit):
    batches = evaluation_batches(dialogues(lengths), size, limit)
    assert sorted(t for turns in batches for t in turns[turns >= 0].tolist()) == list(range(sum(lengths)))
    if limit is not None:
        assert len({turns.shape for turns in batches}) <= limit


def test_impossible_wishes_are_refused():
    encoded = dialogues([2, 3])
    with pytest.raises(OptionError, match="from 1"):
        DialogueBatches(encoded, 0)
    with pytest.raises(OptionError, match="from 1"):
        DialogueBatches(encoded, 2, strategy="window", window=0)
    with pytest.raises(OptionError, match="same dialogues"):
        EncodedDialogues.from_arrays([np.zeros((2, 3))], [np.zeros((3, 2))])
    with pytest.raises(OptionError, match="shape"):
        EncodedDialogues.from_arrays([np.zeros((2, 3)), np.zeros((2, 4))], [np.zeros((2, 2))] * 2)


@pytest.mark.parametrize("strategy", ["bucket", "exact", "pad", "single"])
def test_anybodys_network_learns_from_them(strategy):
    """Two stacked LSTMs of Keras' own, inputs of shape (None, None, 3)."""
    encoded = dialogues([1, 2, 5, 5, 7, 3])
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.LSTM(8, return_sequences=True),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    model.compile(keras.optimizers.Adam(0.05), loss)
    batches = DialogueBatches(encoded, 2, strategy=strategy)
    losses = model.fit(batches, epochs=12, shuffle=False, verbose=0).history["loss"]
    assert losses[-1] < 0.7 * losses[0]


@settings(max_examples=40, deadline=None)
@given(lengths=some_lengths, size=st.integers(1, 4), strategy=st.sampled_from(STRATEGIES))
def test_every_epoch_has_the_same_number_of_batches(lengths, size, strategy):
    encoded = dialogues(lengths)
    assert len({len(DialogueBatches(encoded, size, strategy=strategy, window=2, epoch=e)) for e in range(6)}) == 1


@settings(max_examples=30, deadline=None)
@given(corpus=corpora(), size=st.integers(1, 4), window=st.integers(1, 5), strategy=st.sampled_from(STRATEGIES))
def test_packed_terms_are_those_of_the_turns_each_distinct_text_once(corpus, size, window, strategy):
    embedding = Embedding(dim=2, init="random", min_count=1)
    encoder = fit_turn_encoder(
        corpus,
        ActionSpace(ACTIONS),
        EncoderSettings(user=(embedding,), system=(), context=(), entities=False),
    )
    encoded = encode_dialogues(corpus, encoder)
    said = [turn.user for dialogue in corpus for turn in dialogue.turns]
    terms = encoder.tables["user"][0].terms
    batches = DialogueBatches(encoded, size, strategy=strategy, window=window, packed=True)
    for index in range(len(batches)):
        x, turns = batches[index][0], batches.turns(index)
        assert x["features"].shape[-1] == encoded.n_features - 2
        assert len(x["shares_0"]) == turns.size + 1
        assert (len(x["terms_0"]) & (len(x["terms_0"]) - 1)) == 0, "a power of two"
        texts = {row: [terms[i - 1] for i in x["terms_0"][x["texts_0"] == row]] for row in np.unique(x["rows_0"])}
        expected = [tokenize(said[t]) if t >= 0 else [] for t in turns.ravel()]
        assert [texts[row] for row in x["rows_0"].ravel()] == expected
        assert len(texts) == len({said[t] for t in turns[turns >= 0]}) + (turns < 0).any()
        np.testing.assert_allclose([x["shares_0"][row] * max(len(text), 1) for row, text in texts.items()], [
            bool(text) for text in texts.values()
        ])  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "buckets"}, r"strategy: expected one of bucket, .* found 'buckets'\. Did you mean 'bucket'"),
        ({"weighting": "turns"}, r"weighting: expected one of turn, dialogue; found 'turns'\. Did you mean 'turn'"),
        ({"class_weight": "balance"}, "Did you mean 'balanced'"),
        ({"class_weight": None}, "class_weight: expected one of none, balanced; found None"),
        ({"batch_size": 0}, "batch_size: expected a whole number from 1, found 0"),
        ({"batch_size": "32"}, "batch_size: expected a whole number from 1, found '32'"),
        ({"seed": -1}, "seed: expected a whole number from 0, found -1"),
        ({"max_lengths": 0}, "max_lengths: expected a whole number from 1, found 0"),
    ],
)
def test_impossible_options_are_named(options, message):
    with pytest.raises(OptionError, match=message):
        DialogueBatches(dialogues([2, 3]), **options)


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_features_and_targets_must_be_numbers(wrong, place):
    arrays = [np.ones((3, 2)), np.ones((3, 2))]
    arrays[place][1, 1] = wrong
    with pytest.raises(OptionError, match="features" if place == 0 else "targets"):
        EncodedDialogues.from_arrays([arrays[0]], [arrays[1]])


def test_a_corpus_is_no_batches_yet():
    with pytest.raises(
        OptionError, match=r"expected encoded dialogues, found Corpus\. .*encode_dialogues\(corpus, encoder\)"
    ):
        DialogueBatches(Corpus([]))
