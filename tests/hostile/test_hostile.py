"""Artefacts made to do harm: none executes code, hangs, fills the memory, or is accepted and wrong; errors name the file."""

import json
import os
import subprocess
import sys

import pytest

from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.features.encode import encode_parts
from dialog_policy.files import CACHE
from dialog_policy.policy.config import make_config
from dialog_policy.runtime import Policy
from tests.conftest import QUICK, REPOSITORY
from tests.hostile import others, runs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and links of Linux")

LARGEST_GROWTH_KIB = 512 << 10


def attacked(kind, artefacts, folder):
    """Open artefacts, (name, what the error names, path), in one child process; return what it says of each."""
    artefacts = list(artefacts)
    listed, place = folder / "list.json", folder / "empty"
    listed.write_text(json.dumps([str(path) for *_, path in artefacts]))
    place.mkdir()
    command = [sys.executable, "-m", "tests.hostile.attack", kind, str(listed)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    if len(said) < len(artefacts):
        pytest.fail(f"{artefacts[len(said)]} ended the process ({done.returncode}): {done.stderr[-2_000:]}")
    return list(zip(artefacts, said, strict=True))


def check(results, *, may_be_accepted=False):
    faults = []
    for (name, named, path), said in results:
        if said["executed"]:
            faults.append(f"{name}: executed {said['executed']}")
        if said["grown"] > LARGEST_GROWTH_KIB:
            faults.append(f"{name}: grew by {said['grown'] >> 10} MiB")
        if not said["documented"]:
            faults.append(f"{name}: {said['raised']}")
        elif said["raised"] and named not in said["raised"]:
            faults.append(f"{name}: expected {named!r} in {said['raised']}")
        elif not said["raised"] and not (said["right"] and may_be_accepted):
            faults.append(f"{name}: accepted {path}")
    assert not faults, f"{len(faults)} of {len(results)}:\n" + "\n".join(faults)


def test_runs(tmp_path):
    (tmp_path / "folders").mkdir()
    artefacts = [*runs.folders(tmp_path / "folders"), *runs.archives(tmp_path)]
    assert len(artefacts) > 200
    check(attacked("runs", artefacts, tmp_path))


def test_good_runs_with_strange_parts_predict_what_the_good_run_does(tmp_path):
    results = attacked("runs", runs.slipping(tmp_path), tmp_path)
    check(results, may_be_accepted=True)
    assert not any(said["raised"] for _, said in results)
    assert sorted(path.name for path in tmp_path.iterdir() if "slip" in path.name) == ["slip.zip"]


def test_corpora(tmp_path):
    artefacts = [(name, path.name.partition(".")[0], path) for name, path in others.corpora(tmp_path)]
    check(attacked("corpora", artefacts, tmp_path))


def test_predictions(tmp_path):
    artefacts = [(name, f"{path.name}, line 1", path) for name, path in others.predictions(tmp_path)]
    check(attacked("predictions_", artefacts, tmp_path))


def test_checkpoints(tmp_path):
    artefacts = [(name, f"{path.name}/training.safetensors", path) for name, path in others.checkpoints(tmp_path)]
    check(attacked("checkpoints", artefacts, tmp_path))


def test_sessions(tmp_path):
    session = Policy.load(runs.GOOD).start()
    session.respond("a table for two", {"results": [{"name": "The Oak", "area": "west"}]})
    artefacts = [(name, "session", path) for name, path in others.sessions(tmp_path, session.to_bytes())]
    assert len(artefacts) > 200
    check(attacked("sessions", artefacts, tmp_path), may_be_accepted=True)


def test_cache_entries(tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr("dialog_policy.features.encode.FEWEST_TURNS", 0)
    dialogues = load_corpus(runs.GOOD.with_name(f"{runs.GOOD.name}-dialogues.jsonl"))
    train, dev = (dialogues.with_dialogues(part) for part in (dialogues[:4], dialogues[4:6]))
    actions = ActionSpace().fit(turn.actions for dialogue in train for turn in dialogue.turns)
    encode_parts(train, dev, actions, make_config(QUICK).encoders, seed=0, fingerprints={"train": [], "dev": []})
    (entry,) = (tmp_path / "cache" / "encoded").iterdir()
    artefacts = [
        ("unchanged", "", entry),
        *((name, "made anew", path) for name, path in others.entries(tmp_path, entry)),
    ]
    (_, good), *results = attacked("entries", artefacts, tmp_path)
    assert not good["raised"]
    check(results, may_be_accepted=True)


def test_stores(tmp_path):
    session = Policy.load(runs.GOOD).start()
    artefacts = [(name, "", path) for name, path in others.stores(tmp_path, session.to_bytes())]
    check(attacked("stores", artefacts, tmp_path), may_be_accepted=True)
