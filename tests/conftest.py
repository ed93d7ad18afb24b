"""Fixtures shared by all tests."""

import atexit
import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from dialog_policy import Corpus, DialogPolicy, load_corpus

with contextlib.suppress(ImportError):
    # Tests train many policies in one process. Where it is imported, none of them starts a process for its baselines.
    import sklearn  # noqa: F401

pytest_plugins = ["tests.skips"]
# One profile for all tests. A busy machine is no defect: no example has a deadline, and slow drawing fails no health check.
# In CI every run draws the same examples.
settings.register_profile(
    "tests",
    deadline=None,
    print_blob=True,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tests")
# No test reads or fills the cache of whoever runs the tests.
os.environ.setdefault("DIALOG_POLICY_CACHE", "")
# Nor are their conversations kept or offered.
os.environ.setdefault("DIALOG_POLICY_STATE", "")
# What JAX compiles in one process of the tests need not be compiled in the others.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = compiled = tempfile.mkdtemp(prefix="dialog-policy-jax-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, compiled, ignore_errors=True)
# Its compiler's optimisations take longer than the small networks of the tests compute.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Ray gives its processes a niceness of 15: they would wait for whatever other tests compute.
os.environ.setdefault("RAY_worker_niceness", "0")
REPOSITORY = Path(__file__).resolve().parent.parent
# Settings of a training that takes seconds.
QUICK = {
    "hidden": 12,
    "epochs": 3,
    "user": [{"kind": "bits", "max_terms": 200}],
    "system": [{"kind": "bits", "max_terms": 100}],
    "context": [{"kind": "bits", "max_terms": 50}],
}


@pytest.fixture(scope="session")
def public_corpora() -> Callable[[str], Path]:
    """Path of a public corpus by its file name; the test is skipped where the corpora are absent."""
    folder = Path(os.environ.get("DIALOG_POLICY_CORPORA", REPOSITORY.parent / "shared" / "corpora"))

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"public corpus {name} is not in {folder}; set DIALOG_POLICY_CORPORA to the folder that has it")
        return path

    return find


@pytest.fixture(scope="session")
def desk() -> Corpus:
    """The bundled corpus."""
    return load_corpus(REPOSITORY / "corpora" / "desk.jsonl")


@pytest.fixture(scope="session")
def small(desk: Corpus) -> Corpus:
    """A few dialogues of the bundled corpus: 24 of train, 24 of dev, 12 of test."""
    chosen = [d for part, n in (("train", 24), ("dev", 24), ("test", 12)) for d in list(desk.split(part))[:n]]
    return desk.with_dialogues(chosen)


@pytest.fixture(scope="session")
def trained(small: Corpus) -> DialogPolicy:
    """A policy trained for a moment."""
    return DialogPolicy(**QUICK).fit(small.split("train"), dev=small.split("dev"))
