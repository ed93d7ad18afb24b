"""The compiled step and decision compute what NumPy computes, and refuse bytes that do not fit together."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dialog_policy.compiled import step
from dialog_policy.corpus import ActionSpace
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.turn_values import START, TurnValues
from dialog_policy.runtime import decoder as decoder_module
from dialog_policy.runtime.decoder import Decoder
from dialog_policy.runtime.numpy_lstm import NumpyLSTM

needs_compiler = pytest.mark.skipif(step is None, reason="the package was installed without a C compiler")
NOTHING: frozenset[str] = frozenset()


def network(units, n_actions, seed):
    """Return arrays of a network, and an encoder without tables."""
    random = np.random.default_rng(seed)
    actions = ActionSpace([f"a{n}" for n in range(n_actions)])
    encoder = TurnEncoder(actions, user=(), system=(), context=(), words=["yes"], facts=["city", "name"])
    shapes, below = {}, encoder.dim
    for number, n in enumerate(units):
        shapes |= {f"lstm_{number}.kernel": (below, 4 * n), f"lstm_{number}.recurrent_kernel": (n, 4 * n)}
        shapes[f"lstm_{number}.bias"] = (4 * n,)
        below = n
    shapes |= {"head.kernel": (encoder.dim + below, n_actions), "head.bias": (n_actions,)}
    arrays = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    return arrays, encoder


def plain_lstm(arrays, features):
    """Logits of the turns of one dialogue: the equations as a textbook has them, in float64."""
    arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
    below, n_layers = features.astype(np.float64), sum(name.endswith("bias") for name in arrays) - 1
    for layer in range(n_layers):
        kernel, recurrent, bias = (arrays[f"lstm_{layer}.{part}"] for part in ("kernel", "recurrent_kernel", "bias"))
        hidden = cell = np.zeros(len(recurrent))
        outputs = []
        for x in below:
            i, f, c, o = np.split(x @ kernel + hidden @ recurrent + bias, 4)
            cell = cell / (1 + np.exp(-f)) + np.tanh(c) / (1 + np.exp(-i))
            hidden = np.tanh(cell) / (1 + np.exp(-o))
            outputs.append(hidden)
        below = np.stack(outputs)
    return np.concatenate([features, below], axis=1) @ arrays["head.kernel"] + arrays["head.bias"]


turn_values = st.builds(
    TurnValues,
    st.sampled_from(["", "yes", "no"]),
    st.sampled_from(["", "yes"]),
    st.sampled_from(["{}", '{"a":1}']),
    st.frozensets(st.sampled_from(["city", "name"])),
    st.frozensets(st.sampled_from(["a0", "a1"])) | st.sampled_from([None, START]),
)


@settings(max_examples=60, deadline=None)
@given(
    units=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    n_actions=st.integers(1, 40),
    seed=st.integers(0, 999),
    talks=st.lists(st.lists(turn_values, min_size=3, max_size=3), min_size=1, max_size=9),
)
def test_a_step_is_that_of_the_equations_alone_and_together(units, n_actions, seed, talks):
    arrays, encoder = network(units, n_actions, seed)
    for compiled in (True, False):
        lstm = NumpyLSTM(arrays, encoder, compiled=compiled)
        assert lstm.is_compiled == (compiled and step is not None)
        states, stepped = [lstm.start()] * len(talks), []
        for turns in zip(*talks, strict=True):
            logits, states = lstm.step(turns, states)
            stepped.append(logits)
        for row, talk in enumerate(talks):
            features = np.concatenate(
                [
                    encoder.encode(part, values)
                    for part, values in zip(encoder.layout, zip(*talk, strict=True), strict=True)
                ],
                axis=1,
            )
            own = np.stack([logits[row] for logits in stepped])
            np.testing.assert_allclose(own, plain_lstm(arrays, features), rtol=2e-5, atol=5e-5)
            if lstm.is_compiled:
                state = lstm.start()
                for turn, together in zip(talk, own, strict=True):
                    alone, [state] = lstm.step([turn], [state])
                    assert alone.tobytes() == together.tobytes()
                assert state == states[row]


@needs_compiler
def test_the_gates_are_exact_from_the_smallest_to_the_largest_numbers():
    # One unit whose gates i, f, o are open: the new cell is tanh of the gate's input plus the old cell.
    magnitudes = np.geomspace(1e-30, 1e30, 4_001).astype(np.float32)
    inputs = np.concatenate([magnitudes, -magnitudes, np.linspace(-12, 12, 4_001, dtype=np.float32), [0.0]])
    parts = [np.array([99, 99, 99, x, 0], np.float32).tobytes() for x in inputs.tolist()]
    network = step.Network(((None, bytes(16), None),), bytes(4), 1)
    _, states = network.step(parts, [bytes(8)] * len(parts))
    _, cell = np.frombuffer(b"".join(states), np.float32).reshape(-1, 2).T
    np.testing.assert_allclose(cell, np.tanh(inputs.astype(np.float64)), rtol=3e-7, atol=0)


@settings(max_examples=150, deadline=None)
@given(
    n_actions=st.integers(1, 12),
    seed=st.integers(0, 10_000),
    n_sets=st.integers(0, 12),
    spread=st.sampled_from([0.1, 2.0, 30.0]),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    kind=st.sampled_from(["single", "sets", "marginals"]),
    masks=st.sampled_from(["none", "all", "some", "some or none"]),
)
@example(n_actions=2, seed=35, n_sets=1, spread=30.0, temperature=0.5, kind="sets", masks="some")
def test_a_decision_is_that_of_numpy(n_actions, seed, n_sets, spread, temperature, kind, masks):
    random = np.random.default_rng(seed)
    space = ActionSpace([f"a{n}" for n in range(n_actions)])
    drawn = [frozenset(f"a{n}" for n in np.flatnonzero(random.random(n_actions) < 0.3)) for _ in range(n_sets)]
    sets = list(dict.fromkeys(drawn)) if kind != "single" else [frozenset([name]) for name in space]
    options = {"single_action": kind == "single", "by_marginals": kind == "marginals", "temperature": temperature}
    counts = random.integers(1, 50, len(sets)).tolist()
    ours, plain = (Decoder(space, sets, counts, **options, compiled=compiled) for compiled in (True, False))
    logits = (spread * random.normal(size=(20, n_actions))).astype(np.float32)
    allowed = allow_none = None
    if masks != "none":
        allowed = np.ones(logits.shape, dtype=np.bool_) if masks == "all" else random.random(logits.shape) < 0.6
        if kind == "single":
            allowed[~allowed.any(axis=1), 0] = True
        allow_none = random.random(len(logits)) < 0.5 if masks == "some or none" else None
    decided, expected = (decoder.decide(logits, allowed, allow_none) for decoder in (ours, plain))
    assert decided.actions == expected.actions
    np.testing.assert_allclose(decided.probabilities, expected.probabilities, rtol=1e-9, atol=1e-14)
    np.testing.assert_allclose(decided.confidence, expected.confidence, rtol=1e-9, atol=1e-14)
    if step is not None:
        for row in range(len(logits)):
            own = slice(row, row + 1)
            masked = [mask if mask is None else mask[own] for mask in (allowed, allow_none)]
            alone = ours.decide(logits[own], *masked)
            assert alone.actions == decided.actions[own]
            assert alone.probabilities.tobytes() == decided.probabilities[own].tobytes()


def test_a_decoder_can_be_copied_and_decides_without_a_compiler(monkeypatch):
    space = ActionSpace(["a", "b"])
    decoder = Decoder(space, [frozenset("a")], [3], single_action=False, temperature=2.0, by_marginals=True)
    logits = np.array([[2.0, -1.0], [-3.0, 0.5]])
    monkeypatch.setattr(decoder_module, "step", None)
    copied = copy.deepcopy(decoder)
    assert copied.to_json() == decoder.to_json()
    assert copied.decide(logits).actions == decoder.decide(logits).actions
    np.testing.assert_allclose(copied.decide(logits).probabilities, decoder.decide(logits).probabilities, rtol=1e-12)


@needs_compiler
def test_bytes_that_do_not_fit_are_refused():
    layer = (None, bytes(4 * 16), None)  # two units
    made = step.Network((layer,), bytes(4 * 2 * 3), 3)
    part, state = bytes(4 * 11), bytes(4 * 4)
    assert made.step([part, None], [state])[0] == bytes(12)
    for parts, states in [
        ([part[:-1]], [state]),
        ([part], [state + b"\0"]),
        ([part], [state, state]),
        ([part], []),
    ]:
        with pytest.raises(ValueError, match="expected"):
            made.step(parts, states)
    for layers, head, n_actions in [
        ((), bytes(24), 3),
        ((layer,), bytes(20), 3),
        ((layer,), bytes(24), 0),
        ((layer,), bytes(24), 2**62),
        (((None, bytes(60), None),), bytes(24), 3),
        (((None, b"", None),), b"", 3),
        ((layer, (bytes(4 * 15), bytes(64), bytes(32))), bytes(24), 3),
        ((layer, (bytes(4 * 16), bytes(64), bytes(28))), bytes(24), 3),
    ]:
        with pytest.raises(ValueError, match=r"expected|many"):
            step.Network(layers, head, n_actions)
    names, sets = ("a", "b"), (frozenset("a"), NOTHING)

    def decision(names=names, sets=sets, bits=(0,), ends=(1, 1), weights=(0.0, 0.0), single=False):
        arrays = np.int32(bits).tobytes(), np.int32(ends).tobytes(), np.float64(weights).tobytes()
        return step.Decision(names, sets, *arrays, arrays[2], 0.0, 1.0, single, False)

    for wrong in [
        {"bits": (2,)}, {"bits": (-1,)}, {"ends": (1, 0)}, {"ends": (-1, 1)}, {"ends": (1, 2)}, {"ends": (0, 0)},
        {"weights": (0.0,)}, {"sets": sets[:1]}, {"names": ()}, {"single": True, "sets": sets[:1]},
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=r"expected|no sets"):
            decision(**wrong)
    for logits, allowed, allow_none in [
        (bytes(15), None, None),
        (bytes(16), bytes(3), None),
        (bytes(16), bytes(2), bytes(2)),
    ]:
        with pytest.raises(ValueError, match="expected"):
            decision().decide(logits, allowed, allow_none)
    # Numbers that no network says end in some decision, not in a crash.
    actions, *_ = decision().decide(np.array([[np.nan, np.inf], [-np.inf, np.nan]]).tobytes(), None, None)
    assert len(actions) == 2
