"""What ``import dialog_policy`` offers, and what it does not load."""

import subprocess
import sys

import pytest

import dialog_policy

HEAVY = ("tensorflow", "keras", "gensim", "sklearn", "pandas", "scipy", "jax", "torch", "onnx", "matplotlib", "optuna")
NAMES = (
    "load_corpus", "Corpus", "Dialogue", "Turn", "ActionSpace", "DialogPolicy", "Policy", "Session", "DialogueBatches",
    "evaluate", "compare",
)  # fmt: skip


def loaded(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(*sorted(set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_names_are_there():
    assert set(NAMES) <= set(dialog_policy.__all__)
    assert set(dialog_policy.__all__) <= set(dir(dialog_policy))
    for name in NAMES:
        assert callable(getattr(dialog_policy, name))
    with pytest.raises(AttributeError, match="no attribute 'Polcy'"):
        _ = dialog_policy.Polcy


def test_importing_loads_nothing_but_the_names():
    modules = loaded("import dialog_policy")
    assert not modules & {*HEAVY, "numpy", "onnxruntime"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "DialogueBatches"])
def test_no_name_needs_more_than_the_core_install(name):
    assert not loaded(f"from dialog_policy import {name}") & set(HEAVY)
