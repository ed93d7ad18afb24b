"""A run that cannot be loaded, or was made to do harm, leaves the old one at work, and others are reloaded all the same."""

import json
import logging
import os
import shutil
import signal
import time

import pytest

from benchmarks.client import ServerProcess
from dialog_policy.runtime import Policy
from dialog_policy.serving.runs import Runs
from tests.hostile import runs as hostile
from tests.serving.test_process import ask

# What serving does not read: baselines, the ONNX graph, and which dialogues the policy was trained on.
UNREAD = {"baselines.json", "baselines.safetensors", "model.onnx", "dialogues.json"}
# Every so many of the hostile runs, so that a kind of each remains.
EACH = 4


@pytest.fixture
def place(tmp_path):
    """The place of a run: a link, which can be turned to another run in one step."""
    (tmp_path / "current").symlink_to(hostile.GOOD)
    return tmp_path / "current"


def turn(place, run):
    place.with_name("next").symlink_to(run)
    os.replace(place.with_name("next"), place)


def another(run):
    """Write a good run that is another policy."""
    shutil.copytree(hostile.GOOD, run)
    files = hostile.hashed(hostile.changed_document("decoder.json", lambda decoder: decoder.update(fallback_below=0.4)))
    for name, content in files.items():
        (run / name).write_bytes(content)
    return run


def test_hostile_runs_are_refused_one_by_one_and_the_old_one_goes_on(serving, place, tmp_path, caplog):
    (tmp_path / "folders").mkdir()
    client = serving(runs=Runs({"current": place}))
    old = client.get("/model").json()
    client.post("/sessions", json={"id": "s"})
    caplog.clear()
    tried = [tried for tried in hostile.folders(tmp_path / "folders") if tried[1] not in UNREAD][::EACH]
    assert len(tried) > 30
    for name, named, run in tried:
        turn(place, run)
        answer = client.post("/reload", json={"run": "current"})
        assert answer.status_code == 409, (name, answer.text)
        assert named in answer.json()["error"], (name, answer.text)
        now = client.get("/model").json()
        assert named in now["problem"], name
        assert now | {"problem": None} == old, name
    failures = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(record.msg, record.run, record.exc_info) for record in failures] == [
        ("reload failed", "current", None)
    ] * len(tried)
    assert all(named in record.reason for (_, named, _), record in zip(tried, failures, strict=True))
    assert client.post("/sessions/s/turns", json={"user": "hello"}).status_code == 201
    turn(place, another(tmp_path / "good"))
    assert client.post("/reload").status_code == 200
    assert client.get("/model").json()["policy"] == Policy.load(tmp_path / "good").id != old["policy"]
    assert client.post("/sessions/s/turns", json={"user": "hello"}).json()["turn"] == 1


def test_after_a_signal_the_runs_behind_a_hostile_one_are_reloaded(place, tmp_path):
    good = another(tmp_path / "good")
    shutil.copytree(hostile.GOOD, tmp_path / "second")
    with ServerProcess(str(place), f"second={tmp_path / 'second'}", "--store", "memory") as server:
        old = ask(server, "/models")[0]["policy"]
        (tmp_path / "bad").mkdir()
        for name, content in hostile.hashed(hostile.with_file("network.safetensors", b"\0" * 64)).items():
            (tmp_path / "bad" / name).write_bytes(content)
        turn(place, tmp_path / "bad")
        shutil.rmtree(tmp_path / "second")
        good.rename(tmp_path / "second")
        server.process.send_signal(signal.SIGHUP)
        for _ in range(10_000):
            first, second = (model["policy"] for model in ask(server, "/models"))
            if second != old:
                break
            time.sleep(0.05)
        assert (first, second) == (old, Policy.load(tmp_path / "second").id)
        ask(server, "/sessions", {"id": "s"})
        assert ask(server, "/sessions/s/turns", {"user": "hello"})["turn"] == 0


@pytest.mark.parametrize(
    "content",
    [b"[" * 100_000, b"{", b'{"policy": "POLICY", "turn_accuracy": 1e999}', b'{"policy": "POLICY", "turns": -1}',
     b'{"policy": "POLICY", "corpus": ' + b"[" * 5_000 + b"]" * 5_000 + b"}", None],
)  # fmt: skip
def test_an_evaluation_beside_a_run_that_is_none_is_not_shown(tmp_path, content):
    shutil.copytree(hostile.GOOD, tmp_path / "run")
    known = Policy.load(hostile.GOOD).id
    path = tmp_path / "run" / "evaluation.json"
    if content is None:
        os.mkfifo(path)  # opening it would wait for ever
    else:
        path.write_bytes(content.replace(b"POLICY", known.encode()))
    assert "turn_accuracy" not in Runs({"r": tmp_path / "run"}).default.describe().metrics
    path.unlink()
    path.write_text(json.dumps({"policy": known, "turn_accuracy": 0.5, "turns": 7}))
    metrics = Runs({"r": tmp_path / "run"}).default.describe().metrics
    assert (metrics["turn_accuracy"], metrics["of"]["turns"]) == (0.5, 7)
