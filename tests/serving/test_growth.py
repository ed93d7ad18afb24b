"""A prototype that grows: browse the corpus, save corrected dialogues, train again in the background."""

import asyncio
import concurrent.futures
import json
import os
import shutil
import time

import pytest

from dialog_policy import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError
from dialog_policy.files import locked
from dialog_policy.runtime import Policy
from dialog_policy.serving.errors import ConflictError
from dialog_policy.serving.retrain import parts, sentence
from dialog_policy.serving.rollout import Rollout
from dialog_policy.serving.runs import Runs
from dialog_policy.serving.schemas import RetrainingResult
from dialog_policy.serving.stores import MemoryStore
from dialog_policy.serving.training import CorpusSource, Retraining


@pytest.fixture
def growing(serving, run, small, tmp_path):
    """Return a client of a server with a corpus in two files, its run's path and the file of saved dialogues."""
    path, saved, corpus = tmp_path / "run", tmp_path / "saved.jsonl", [tmp_path / "small.jsonl", tmp_path / "rest.csv"]
    shutil.copytree(run, path)
    write_corpus(small[:30], corpus[0])
    write_corpus(small[30:], corpus[1])
    client = serving(
        runs=Runs({"run": path}),
        corpus=load_corpus(corpus),
        retraining=Retraining(CorpusSource([str(one) for one in corpus]), saved),
    )
    return client, path, saved


def converse(client, name="s"):
    client.post("/sessions", json={"id": name})
    for user in ("hello", "i would like a table for nine on the moon"):
        client.post(f"/sessions/{name}/turns", json={"user": user})
    done = {"actions": ["bye"], "system": "Not with us."}
    assert client.put(f"/sessions/{name}/turns/1/actions", json=done).status_code == 200


def test_the_corpus_is_there_to_browse(growing, small):
    client, _, _ = growing
    page = client.get("/corpus/dialogues", params={"limit": 7, "offset": 3}).json()
    assert (page["total"], page["offset"]) == (len(small), 3)
    assert [d["id"] for d in page["dialogues"]] == [d.id for d in small][3:10]
    dialogue = next(iter(small))
    logged = client.get(f"/corpus/dialogues/{dialogue.id}").json()
    assert [t["user"] for t in logged["turns"]] == [t.user for t in dialogue.turns]
    assert [t["actions"] for t in logged["turns"]] == [
        None if t.actions is None else sorted(t.actions) for t in dialogue.turns
    ]
    page = client.get("/corpus/dialogues", params={"query": "BOOK_CLINIC"}).json()
    having = [d.id for d in small if any("book_clinic" in (t.actions or ()) for t in d.turns)]
    assert 0 < page["total"] == len(having) < len(small)
    assert client.get("/corpus/dialogues/none").status_code == 404


def test_a_corrected_conversation_is_saved_once(growing):
    client, _, saved = growing
    converse(client)
    first = client.post("/corpus/saved", json={"session": "s"})
    again = client.post("/corpus/saved", json={"session": "s"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json() == {"id": first.json()["id"], "file": str(saved), "dialogues": 1}
    client.post("/sessions/s/turns", json={"user": "bye"})
    assert client.post("/corpus/saved", json={"session": "s"}).json()["dialogues"] == 2
    kept = list(load_corpus(saved))
    assert [len(d) for d in kept] == [2, 3]
    assert (kept[0].turns[1].actions, kept[0].turns[1].system) == ({"bye"}, "Not with us.")
    client.post("/sessions", json={"id": "empty"})
    assert client.post("/corpus/saved", json={"session": "empty"}).status_code == 422
    assert client.post("/corpus/saved", json={"session": "none"}).status_code == 404


def test_two_servers_that_save_at_once_lose_nothing(serving, run, small, tmp_path):
    saved = tmp_path / "saved.jsonl"
    corpus = tmp_path / "small.jsonl"
    write_corpus(small, corpus)
    servers = [
        serving(corpus=small, retraining=Retraining(CorpusSource([str(corpus)]), saved), rate=0) for _ in range(2)
    ]

    def save(number):
        client, name = servers[number % 2], f"s{number}"
        client.post("/sessions", json={"id": name})
        client.post(f"/sessions/{name}/turns", json={"user": f"hello {number}"})
        return client.post("/corpus/saved", json={"session": name}).status_code

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert set(threads.map(save, range(40))) == {201}
    users = [dialogue.turns[0].user for dialogue in load_corpus(saved)]
    assert sorted(users) == sorted(f"hello {number}" for number in range(40))
    assert saved.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_the_file_of_saved_dialogues_held_stays_byte_for_byte(serving, run, small, tmp_path):
    sheet = tmp_path / "mine.csv"
    before = "\ufeffdialogue_id;user;actions;system;note\r\n1;hallo;greet;Guten Tag;\u00fc\r\n".encode()
    sheet.write_bytes(before)
    sheet.chmod(0o640)
    client = serving(corpus=small, retraining=Retraining(CorpusSource(["none"]), sheet))
    converse(client)
    answer = client.post("/corpus/saved", json={"session": "s"})
    assert (answer.status_code, answer.json()["dialogues"]) == (201, 2)
    after = sheet.read_bytes()
    assert after.startswith(before)
    assert (len(load_corpus(sheet)), sheet.stat().st_mode & 0o777) == (2, 0o640)
    # What cannot be added to is refused and stays as it is.
    other = tmp_path / "mine.parquet"
    other.write_bytes(b"PAR1")
    client = serving(corpus=small, retraining=Retraining(CorpusSource(["none"]), other))
    converse(client)
    answer = client.post("/corpus/saved", json={"session": "s"})
    assert (answer.status_code, other.read_bytes()) == (422, b"PAR1")
    assert "mine-added.jsonl" in answer.json()["error"]


def test_another_process_that_writes_the_run_keeps_a_retraining_out(growing):
    client, path, _ = growing
    with locked(path, "training"):
        client.post("/train")
        while (state := client.get("/train").json())["state"] == "running":
            time.sleep(0.1)
        assert state["state"] == "failed"
        assert f"(training, process {os.getpid()} on " in state["message"]
    assert client.get("/model").status_code == 200


def test_training_takes_the_runs_own_parts_and_the_saved_dialogues(trained, run, small, desk):
    policy = Policy.load(run)
    new = list(desk.split("train"))[-2:]
    train, dev = parts(policy, small, small.with_dialogues([*new, next(iter(small.split("train")))]))
    assert [d.id for d in train] == [d.id for d in small.split("train")] + [d.id for d in new]
    assert [d.id for d in dev] == [d.id for d in small.split("dev")]
    with pytest.raises(CorpusError, match="not trained on"):
        parts(policy, small.split("test"), None)


def test_the_button_trains_in_the_background_and_reloads(growing, small):
    client, path, _ = growing
    assert client.get("/train").json()["state"] == "idle"
    converse(client)
    client.post("/corpus/saved", json={"session": "s"})
    # Somebody has taken a dialogue of the training part out of the corpus: that is not to go unnoticed.
    gone = next(dialogue.id for dialogue in small[:30] if dialogue.split == "train")
    write_corpus(small.with_dialogues([d for d in small[:30] if d.id != gone]), path.with_name("small.jsonl"))
    before = client.get("/model").json()
    started = client.post("/train")
    assert (started.status_code, started.json()["state"]) == (202, "running")
    assert client.post("/train").status_code == 409
    shares = []
    while (state := client.get("/train").json())["state"] == "running":
        shares.append(state["share"])
        # It answers meanwhile.
        assert client.get("/sessions/s").status_code == 200
        time.sleep(0.1)
    assert state["state"] == "done", state
    assert (state["share"], state["epoch"], state["epochs"]) == (1.0, 3, 3)
    assert shares == sorted(shares)
    after = client.get("/model").json()
    assert after["policy"] == state["policy"] == Policy.load(path).id != before["policy"]
    assert after["corpus"]["train"]["dialogues"] == before["corpus"]["train"]["dialogues"]
    assert Policy.load(path.with_name("run.before")).id == before["policy"]
    # Better or worse, on what, by how much: as whoever evaluates both runs finds it.
    result, dev = state["result"], small.split("dev")
    turns = [turn.actions for dialogue in dev for turn in dialogue.turns if turn.actions is not None]
    for name, where in (("before", path.with_name("run.before")), ("after", path)):
        predicted = [prediction.actions for prediction in Policy.load(where).predict(dev)]
        accuracy = sum(p == gold for p, gold in zip(predicted, turns, strict=True)) / len(turns)
        assert result[f"turn_accuracy_{name}"] == pytest.approx(accuracy)
        assert f"{accuracy:.1%}" in state["message"]
    assert (result["validation_dialogues"], result["validation_turns"]) == (24, len(turns))
    assert (result["dialogues"], result["added_dialogues"], result["added_turns"]) == (24, 1, 2)
    assert "24 dialogues, 1 dialogue of them new (2 turns). 1 dialogue of the previous" in state["message"]
    assert result["missing_dialogues"] == 1
    view = client.get("/sessions/s").json()
    assert (view["policy"], len(view["turns"])) == (after["policy"], 2)
    assert client.post("/sessions/s/turns", json={"user": "bye"}).json()["turn"] == 2
    # The previous policy comes back, and the retrained one is kept in its place.
    for policy, other in ((before, after), (after, before)):
        restored = client.post("/train/restore").json()
        assert (restored["state"], restored["policy"]) == ("idle", policy["policy"])
        assert client.get("/model").json() == policy
        assert Policy.load(path.with_name("run.before")).id == other["policy"]
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "rest.csv",
        "run",
        "run.before",
        "saved.jsonl",
        "small.jsonl",
    ]


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (0.5, 0.75, "The policy is better: on the validation part (2 dialogues, 8 turns) its turn accuracy is 75.0%, before it was 50.0%, 2 turns more."),
        (0.5, 0.375, "The policy is worse: on the validation part (2 dialogues, 8 turns) its turn accuracy is 37.5%, before it was 50.0%, 1 turn fewer."),
        (0.5, 0.5, "The policy is as good as before: on"),
        (None, None, "was not measured, since the run has no validation part"),
    ],
)  # fmt: skip
def test_what_a_retraining_changed_is_said(before, after, words):
    view = sentence(RetrainingResult(1, 0, 0, 2, 8, before, after))
    assert view.startswith("Trained on 1 dialogue, none of them new.")
    assert words in view


def test_what_was_never_retrained_has_nothing_to_restore(growing):
    client, _, _ = growing
    answer = client.post("/train/restore")
    assert (answer.status_code, "has no previous policy" in answer.json()["error"]) == (404, True)


@pytest.fixture
def processes(monkeypatch):
    """Return the list of the processes that the test has started."""
    started = []

    async def begin(*arguments, real=asyncio.create_subprocess_exec, **options):
        started.append(await real(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", begin)
    return started


def test_a_training_that_fails_says_why_and_leaves_the_run(run, tmp_path, small, processes):
    write_corpus(small.split("test"), tmp_path / "other.jsonl")

    async def train():
        runs = Runs({"quick": run})
        before = runs.default.policy
        rollout = Rollout(runs, MemoryStore())
        retraining = Retraining(CorpusSource([str(tmp_path / "other.jsonl")]), tmp_path / "saved.jsonl")
        for _ in range(2):
            retraining.start(runs.default, rollout)
            with pytest.raises(ConflictError):
                retraining.start(runs.default, rollout)
            while retraining.progress.state == "running":
                await asyncio.sleep(0.05)
            assert runs.default.policy is before
        assert [process.returncode for process in processes] == [None], "one process, kept for the next training"
        await retraining.stop()
        return retraining.progress

    progress = asyncio.run(train())
    assert (progress.state, "was not trained on other.jsonl" in progress.message) == ("failed", True)
    assert processes[0].returncode is not None


def test_a_retraining_with_settings_that_cannot_be_trained_leaves_the_run(growing):
    client, path, _ = growing
    before = client.get("/model").json()
    manifest = json.loads((path / "run.json").read_text())
    manifest["config"]["learning_rate"] = 1e30
    (path / "run.json").write_text(json.dumps(manifest))
    client.post("/train")
    while (state := client.get("/train").json())["state"] == "running":
        time.sleep(0.1)
    assert (state["state"], state["result"], state["policy"]) == ("failed", None, before["policy"])
    assert "learning_rate" in state["message"]
    assert Policy.load(path).id == before["policy"]
    assert not path.with_name("run.before").exists()


def test_stopping_the_server_stops_a_training(run, tmp_path, small, processes):
    write_corpus(small, tmp_path / "small.jsonl")

    async def train():
        retraining = Retraining(CorpusSource([str(tmp_path / "small.jsonl")]), tmp_path / "saved.jsonl")
        runs = Runs({"quick": run})
        retraining.start(runs.default, Rollout(runs, MemoryStore()))
        while not processes:
            await asyncio.sleep(0.01)
        await retraining.stop()

    asyncio.run(train())
    assert [process.returncode is not None for process in processes] == [True]
