"""What several processes compute of a batch, side by side, is the batch that one process computes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded import EncodedDialogues
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.network import batches as module
from dialog_policy.network.batches import DialogueBatches, Share
from dialog_policy.text.encoders import Embedding
from tests.strategies import ACTIONS, corpora

STRATEGIES = ["bucket", "exact", "pad", "single", "window"]
EMBEDDING = EncoderSettings(user=(Embedding(dim=2, min_count=1, init="random"),), system=(), context=(), entities=False)


def arrays(batch):
    inputs, targets, weights = batch
    inputs = inputs if isinstance(inputs, dict) else {"features": inputs}
    return {**inputs, "targets": targets, "weights": weights}


@pytest.mark.parametrize("strategy", STRATEGIES)
@settings(max_examples=20)
@given(
    corpus=corpora(),
    size=st.integers(1, 5),
    processes=st.integers(1, 3),
    devices_each=st.integers(1, 2),
    epoch=st.integers(0, 2),
    packed=st.booleans(),
)
def test_the_parts_are_the_whole(strategy, corpus, size, processes, devices_each, epoch, packed):
    encoded = encode_dialogues(corpus, fit_turn_encoder(corpus, ActionSpace(ACTIONS), EMBEDDING))
    devices = processes * devices_each

    def batches(*share):
        given = {"share": Share(*share)} if share else {}
        return DialogueBatches(
            encoded,
            size,
            strategy=strategy,
            max_lengths=2,
            window=3,
            packed=packed,
            weighting="dialogue",
            epoch=epoch,
            **given,
        )

    one, whole = batches(), batches(0, 1, devices)
    parts = [batches(rank, processes, devices) for rank in range(processes)]
    assert whole.batch_size % devices == 0
    assert whole.batch_size - one.batch_size < devices
    assert {len(part) for part in parts} == {len(whole)} == {len(one)}
    for index in range(len(one)):
        expected, found = arrays(whole[index]), [arrays(part[index]) for part in parts]
        for name, array in expected.items():
            assert len({part[name].shape for part in found}) == 1, "every process has the same shapes"
            np.testing.assert_array_equal(np.concatenate([part[name] for part in found]), array)
        alone = arrays(one[index])
        for name in ("features", "targets", "weights"):
            np.testing.assert_array_equal(expected[name][: one.batch_size], alone[name])
        assert not expected["weights"][one.batch_size :].any(), "rows that are added weigh nothing"
        assert parts[0].turns_in(index) == one.turns_in(index)


@pytest.mark.parametrize("processes", [2, 3])
def test_a_smaller_batch_of_the_longest_dialogues_is_divided_too(processes, monkeypatch):
    monkeypatch.setattr(module, "compiles", lambda: True)
    lengths = [2] * 60 + [7, 9, 20, 30]
    random = np.random.default_rng(0)
    encoded = EncodedDialogues.from_arrays(
        [random.normal(size=(n, 3)) for n in lengths], [random.random((n, 2)) < 0.5 for n in lengths]
    )
    one = DialogueBatches(encoded, 7, max_lengths=3)
    parts = [
        DialogueBatches(encoded, 7, max_lengths=3, share=Share(rank, processes, processes)) for rank in range(processes)
    ]
    rows = {len(one.turns(index)) for index in range(len(one))}
    assert len(rows) == 2
    for index in range(len(one)):
        expected, found = arrays(one[index]), [arrays(part[index]) for part in parts]
        for name, array in expected.items():
            whole = np.concatenate([part[name] for part in found])
            np.testing.assert_array_equal(whole[: len(array)], array)
            assert len(whole) - len(array) < processes
