import json

import pytest
from click.testing import CliRunner

from dialog_policy import load_corpus
from dialog_policy.cli import main
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusWarning

ENCODERS = ["user=[{kind='bits',max_terms=200}]", "system=[{kind='bits'}]", "context=[{kind='bits'}]", "smallest_dev=5"]


@pytest.fixture(scope="module")
def folder(small, tmp_path_factory):
    """A folder with the small corpus, in which commands run."""
    folder = tmp_path_factory.mktemp("commands")
    write_corpus(small, folder / "small.jsonl")
    return folder


def command(*words, code=0):
    told = CliRunner().invoke(main, [str(word) for word in words])
    assert told.exit_code == code, f"{told.output}{told.stderr}{told.exception!r}"
    return told


def test_every_command_takes_a_store_for_the_corpus_and_says_the_same(folder):
    corpus, store = folder / "small.jsonl", folder / "small.store"
    told = command("prepare", corpus, store, "--processes", 2, "--set", *ENCODERS)
    assert "60 dialogues (882 turns)" in told.stderr
    assert "Features: 24 dialogues to train on, 24 to validate on." in told.stderr
    said = {}
    for name, source in (("corpus", corpus), ("store", store)):
        run, predictions = folder / f"{name}.run", folder / f"{name}.predictions.jsonl"
        inspected, evaluated, scored = (folder / f"{name}.{what}.json" for what in ("inspect", "evaluate", "score"))
        command("inspect", source, "--json", inspected)
        command("train", source, "--out", run, "--set", "hidden=8", "epochs=1", *ENCODERS)
        command("evaluate", run, source, "--json", evaluated, "--resamples", 50)
        command("predict", run, source, "--out", predictions)
        command("score", predictions, source, "--split", "test", "--json", scored, "--resamples", 50)
        documents = [json.loads(path.read_text()) for path in (inspected, evaluated, scored)]
        documents[1].pop("run")
        said[name] = documents, predictions.read_bytes(), (run / "network.safetensors").read_bytes()
    assert said["corpus"] == said["store"]


def test_tune_takes_a_store(folder):
    pytest.importorskip("optuna")
    store = folder / "tuned.store"
    few = ["hidden=8", "epochs=1", *ENCODERS]
    command("prepare", folder / "small.jsonl", store, "--processes", 1, "--set", *ENCODERS)
    told = command("tune", store, "--out", folder / "tuned", "--trials", 1, "--set", *few)
    assert "1 trials; the best (number 0)" in told.output


def test_options_that_a_store_cannot_follow_are_refused(folder):
    store = folder / "other.store"
    command("prepare", folder / "small.jsonl", store, "--set", *ENCODERS, "--dev", "inner")
    assert load_corpus(store).manifest.has_features
    told = command("train", store, "--out", folder / "r", "--set", *ENCODERS, "hidden=8", "epochs=1", code=2)
    assert "was prepared for --split train --dev inner" in told.stderr
    told = command("train", store, "--out", folder / "r", code=2)
    assert "was prepared with the setting user = " in told.stderr
    told = command("prepare", folder / "small.jsonl", folder / "x.store", "--dev", "dv", code=2)
    assert "'dv'" in told.stderr


def test_what_is_left_out_or_looks_wrong_is_said_when_a_store_is_made_and_used(tmp_path):
    table = (
        "dialogue_id,user,actions,split,note\n1,hi,greet,Train,x\n1,bye,bye,Train,y\n2,hi,greet,test,z\n3,hi,greet,,z\n"
    )
    (tmp_path / "c.csv").write_text(table)
    told = command("prepare", tmp_path / "c.csv", tmp_path / "S", "--split", "none").stderr
    assert "Warning: The column 'note' differs within a dialogue" in told
    assert "Warning: 1 dialogue belongs to no part" in told
    assert "Warning: The part 'Train' (1 dialogue) is another part than train" in told
    with pytest.warns(CorpusWarning, match="The part 'Train'"):
        load_corpus(tmp_path / "S")
    split = ("split", tmp_path / "c.csv", tmp_path / "parts", "--parts", "train=0.5", "test=0.5")
    assert "Warning: The column 'note' differs" in command(*split).stderr
