"""Baselines fitted in a process of their own: the same, whatever becomes of it, and gone when its caller is."""

import subprocess
import sys

import msgspec
import numpy as np
import pytest

from dialog_policy import ActionSpace
from dialog_policy.baselines import process
from dialog_policy.baselines.fit import fit_baselines
from dialog_policy.baselines.process import FitsBaselines, fits_baselines

# A child whose fitting never ends.
ENDLESS = (
    "import threading; from dialog_policy.baselines import process as p; p.require = lambda *a, **k: None; "
    "p.fit_baselines = lambda *a, **k: threading.Event().wait(); p.main()"
)


def child(code):
    return subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def expected(small):
    corpus = small.split("train")[:6]
    space = ActionSpace().fit(turn.actions for dialogue in corpus for turn in dialogue.turns)
    return corpus, space, fit_baselines(corpus, space, tokenizer="default", seed=3).to_parts()


def check(begun, described, arrays):
    found, found_arrays = begun.result()
    assert msgspec.json.encode(found) == msgspec.json.encode(described)
    assert found_arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found_arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found_arrays[name], array)


def test_they_have_the_same_bits(expected, monkeypatch):
    corpus, space, parts = expected
    monkeypatch.setattr(process, "cores", lambda: 2)
    monkeypatch.delitem(sys.modules, "sklearn")
    started = []
    monkeypatch.setattr(process, "fit_baselines", lambda *_, **__: pytest.fail("fitted here"))
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **o: (started.append(popen(*a, **o)), started[0])[1])
    with fits_baselines(apart=True) as fits:
        check(fits.begin(corpus, space, tokenizer="default", seed=3), *parts)
    assert started[0].returncode is not None


def test_without_a_process_a_thread_fits_them(expected):
    corpus, space, parts = expected
    with fits_baselines(apart=False) as fits:
        check(fits.begin(corpus, space, tokenizer="default", seed=3), *parts)


@pytest.mark.parametrize("code", ["pass", "print('no baselines')", "sys.stdin.buffer.read(100)"])
def test_a_process_that_ends_early_is_replaced(expected, code):
    corpus, space, parts = expected
    fits = FitsBaselines(child(code))
    check(fits.begin(corpus, space, tokenizer="default", seed=3), *parts)
    fits.end()


def test_what_is_ended_is_not_fitted_again(expected, monkeypatch):
    corpus, space, _ = expected
    monkeypatch.setattr(process, "fit_baselines", lambda *_, **__: pytest.fail("fitted here"))
    fits = FitsBaselines(child(ENDLESS))
    begun = fits.begin(corpus, space, tokenizer="default", seed=3)
    fits.end()
    with pytest.raises((OSError, ValueError)):
        begun.result()


def test_it_ends_when_its_caller_does():
    working = child(ENDLESS)
    order = msgspec.msgpack.encode([[], [], "default", 0])
    working.stdin.write(len(order).to_bytes(8, "big") + order)
    working.stdin.close()
    assert working.wait(timeout=300) == 0
    waiting = child(ENDLESS)
    waiting.stdin.close()
    assert waiting.wait(timeout=300) == 0
