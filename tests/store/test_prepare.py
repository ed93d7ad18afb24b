import copy
import json
import shutil

import numpy as np
import pytest

from dialog_policy import Corpus, DialogPolicy, Dialogue, Turn, load_corpus
from dialog_policy.corpus import ActionSpace
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, DialogPolicyError, OptionError, RunError
from dialog_policy.features import sharded
from dialog_policy.features.encode import encode_parts
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.files import locked
from dialog_policy.network.batches import DialogueBatches
from dialog_policy.policy.config import make_config
from dialog_policy.store import build, prepare
from dialog_policy.store import shards as steps
from dialog_policy.text.encoders import Bits, Embedding, Lsa, Word2Vec
from tests.conftest import QUICK

USER = (Bits(max_terms=200), Lsa(dim=8), Lsa(unit="character", ngrams=(3, 4), dim=8))
SETTINGS = {"user": USER, "system": (Lsa(dim=8),), "context": (Bits(max_terms=50), Lsa(dim=6)), "smallest_dev": 5}
CONFIG = make_config(SETTINGS)


@pytest.fixture(scope="module")
def made(small, tmp_path_factory):
    """The small corpus as a file, and its store in several shards."""
    folder = tmp_path_factory.mktemp("store")
    write_corpus(small, folder / "small.jsonl")
    return folder / "small.jsonl", prepare(folder / "small.jsonl", folder / "STORE", config=CONFIG, turns_a_shard=80)


@pytest.fixture
def store(made, tmp_path):
    """A copy of the store that may be damaged."""
    shutil.copytree(made[1].path, tmp_path / "STORE")
    return tmp_path / "STORE"


def parts_of(corpus, settings=CONFIG.encoders):
    train = corpus.split("train")
    actions = ActionSpace().fit(turn.actions for dialogue in train for turn in dialogue.turns)
    return encode_parts(train, corpus.split("dev"), actions, settings)


def test_a_store_is_the_corpus_that_it_was_made_of(made, small):
    store = load_corpus(made[1].path)
    assert len(store.manifest.shards) > 3
    assert list(store) == list(small)
    assert store[5] == small[5]
    assert list(store[3:9]) == list(small[3:9])
    for name in ("train", "dev", "test"):
        assert list(store.split(name)) == list(small.split(name))
    assert (store.n_turns, store.n_targets, store.splits) == (small.n_turns, small.n_targets, small.splits)
    assert store.fingerprints() == small.fingerprints()
    assert list(store.split("dev").ids) == list(small.split("dev").ids)
    one = small.split("test")[0]
    assert store.dialogue(one.id) == one
    assert one.id not in store.split("dev").ids
    with pytest.raises(CorpusError, match="no dialogue with the id"):
        store.split("dev").dialogue(one.id)


def test_long_texts_end_a_shard_sooner(small, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_BYTES_A_SHARD", 10_000)
    store = prepare(small, tmp_path / "S", split="none")
    assert list(store) == list(small)
    assert len(store.manifest.shards) > 3
    assert all(shard.turns < 500 for shard in store.manifest.shards)


def test_a_store_with_another_gazetteer_keeps_it_on_the_way_to_another_process(made):
    store = load_corpus(made[1].path)
    changed = store.with_gazetteer({"price": ["cheap"]})
    for corpus in (changed, changed[2:4]):
        there = copy.copy(corpus)  # by what pickling sends
        assert there.gazetteer == {"price": ["cheap"]}
        assert list(there) == list(corpus)
    assert copy.copy(store[2:4]).gazetteer == store.gazetteer


@pytest.mark.parametrize("more", [(), (Word2Vec(dim=4, epochs=2, pools=("sif",)),), (Embedding(dim=4, init="random"),)])
def test_features_are_to_the_byte_those_of_the_corpus_in_memory(made, small, tmp_path, more):
    config, store = CONFIG, made[1]
    if more:
        config = make_config({**SETTINGS, "user": (*USER, *more)})
        store = prepare(made[0], tmp_path / "STORE", config=config, turns_a_shard=80)
    mine, theirs = parts_of(store, config.encoders), parts_of(small, config.encoders)
    described, arrays = mine.encoder.to_parts()
    expected, expected_arrays = theirs.encoder.to_parts()
    assert described == expected
    assert {name: a.tobytes() for name, a in arrays.items()} == {n: a.tobytes() for n, a in expected_arrays.items()}
    for part, reference in zip(mine[1:], theirs[1:], strict=True):
        assert isinstance(part, sharded.ShardedDialogues)
        turns = reference.padded_turns(np.arange(len(reference)))
        assert part.padded_turns(np.arange(len(part))).tobytes() == turns.tobytes()
        for what in ("features", "targets", "weights"):
            assert getattr(part, what)(turns).tobytes() == getattr(reference, what)(turns).tobytes()
        for what in ("action_rates", "dialogue_weights", "balanced_weights"):
            assert getattr(part, what)().tobytes() == getattr(reference, what)().tobytes()
        assert part.widths == reference.widths
        assert [part.mean_terms(n) for n in part.embedded] == pytest.approx(
            [reference.mean_terms(n) for n in part.embedded]
        )


@pytest.mark.parametrize("settings", [{}, {"batches": "exact", "weighting": "dialogue", "class_weight": "balanced"}])
def test_equal_seeds_give_equal_networks_from_a_store_and_from_memory(made, small, settings):
    files = []
    for corpus in (small, load_corpus(made[1].path)):
        policy = DialogPolicy(hidden=8, epochs=2, **SETTINGS, **settings)
        policy.fit(corpus.split("train"), dev=corpus.split("dev"))
        run = policy.runtime_.run
        files.append({name: run.read(name) for name in run.manifest["files"]})
    assert files[0] == files[1]


def test_what_training_showed_of_values_is_in_a_store_too(tmp_path):
    """Another way to write a value, and a value that users asked for and no record has."""

    def search(number, user, said):
        context = {"results": [{"name": "Oak", "price": "moderate"}]} if number % 3 else {}
        turn = Turn(user=user, actions=frozenset(["search"]), system=said, context=context)
        return Dialogue(id=str(number), turns=(turn, turn))

    said = [("something moderately priced", "search moderate"), ("cheap food", "search cheap")]
    gazetteer = {"price": ("cheap", "moderate"), "name": ("Oak",)}
    corpus = Corpus([search(n, *said[n % 2]) for n in range(12)], gazetteer=gazetteer)
    store = prepare(corpus, tmp_path / "STORE", config=CONFIG, split="all", dev="none", turns_a_shard=10)
    runs = [DialogPolicy(hidden=8, epochs=1, **SETTINGS).fit(part, dev=None).runtime_ for part in (corpus, store)]
    files = [{name: run.run.read(name) for name in run.run.manifest["files"]} for run in runs]
    assert files[0] == files[1]
    assert ("moderately", "moderate") in runs[1].engine.replies.gazetteer["price"]
    assert runs[1].engine.encoder.unlisted == {"price": frozenset({"cheap"})}


def test_what_does_not_fit_is_shuffled_across_and_within_pools_of_shards(made, monkeypatch):
    encoded = parts_of(load_corpus(made[1].path)).train
    monkeypatch.setattr(sharded, "_POOL_TURNS", 150)
    assert encoded.pool_size < len(encoded)
    batches = DialogueBatches(encoded, 4)
    epochs = []
    for _ in range(3):
        turns = [batches.turns(i) for i in range(len(batches))]
        seen = np.sort(np.concatenate([t[t >= 0] for t in turns]))
        assert seen.tolist() == list(range(int(encoded.offsets[-1])))
        epochs.append([t.tobytes() for t in turns])
        batches.on_epoch_end()
    assert len({len(epoch) for epoch in epochs}) == 1
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_killed_prepare_goes_on_where_it_was(made, tmp_path, monkeypatch):
    done = []

    def count(task):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(task.number)
        return steps.count(task)

    module = "dialog_policy.store.build"
    monkeypatch.setattr(f"{module}.count", count)
    with pytest.raises(KeyboardInterrupt):
        prepare(made[0], tmp_path / "S", config=CONFIG, turns_a_shard=80)
    assert not (tmp_path / "S").exists()
    monkeypatch.setattr(f"{module}.count", steps.count)
    monkeypatch.setattr(f"{module}.write_shard", None)  # the text is written
    again = []
    counting = steps.count_shard
    monkeypatch.setattr(
        steps, "count_shard", lambda place, *rest: (again.append(place.name), counting(place, *rest))[1]
    )
    said = []
    store = prepare(made[0], tmp_path / "S", config=CONFIG, turns_a_shard=80, say=said.append)
    assert "Continuing" in said[0]
    assert len(again) == len(store.manifest.shards) - 2 or sorted(again)[0] == "train-00002.columns"
    assert json.loads((store.path / "store.json").read_text()) == json.loads((made[1].path / "store.json").read_text())


@pytest.mark.parametrize(
    "moment", ["before the work begins", "before the store takes its place", "while another one is discarded"]
)
def test_what_a_process_leaves_that_is_killed_between_two_steps_is_taken_up(made, tmp_path, monkeypatch, moment):
    """Such a folder lacks the request that says whose it is."""

    def killed(*_):
        raise KeyboardInterrupt

    text = {"split": "none", "turns_a_shard": 80}
    with monkeypatch.context() as patch:
        if moment == "before the work begins":
            patch.setattr("pathlib.Path.rename", killed)
        elif moment == "before the store takes its place":
            patch.setattr("dialog_policy.store.workshop.replace_folder", killed)
        else:
            with patch.context() as inner:
                inner.setattr("dialog_policy.store.workshop.replace_folder", killed)
                with pytest.raises(KeyboardInterrupt):
                    prepare(made[0], tmp_path / "S", split="none", turns_a_shard=40)
            patch.setattr("shutil.rmtree", lambda *_, ignore_errors=False: None if ignore_errors else killed())
        with pytest.raises(KeyboardInterrupt):
            prepare(made[0], tmp_path / "S", **text)
    store = prepare(made[0], tmp_path / "S", **text)
    assert list(store) == list(load_corpus(made[0]))
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["S"]
    assert not (store.path / "work").exists()


def test_one_process_at_a_time_makes_a_store(made, tmp_path):
    with locked(tmp_path / "S", "preparing a store"), pytest.raises(RunError, match="being written by another process"):
        prepare(made[0], tmp_path / "S")
    (tmp_path / "T").mkdir()
    (tmp_path / "T" / "thesis.txt").write_text("x")
    with pytest.raises(RunError, match="not a store"):
        prepare(made[0], tmp_path / "T")


def damage(path, how):
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)


def read_all(store):
    corpus = load_corpus(store)
    list(corpus)
    part = parts_of(corpus).train
    part.features(np.arange(int(part.offsets[-1])))


@pytest.mark.parametrize("how", ["missing", "cut", "changed"])
@pytest.mark.parametrize(
    "name", ["text/00001.parquet", "features/train-00001/user.1.npy", "features/train-00001/dialogues.safetensors"]
)
def test_a_damaged_shard_is_named(store, name, how):
    damage(store / name, how)
    with pytest.raises(CorpusError) as error:
        read_all(store)
    assert name in str(error.value)
    assert "untouched" in str(error.value)


def test_a_store_of_another_version_is_refused(store):
    described = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps(described | {"format": 99}))
    with pytest.raises(CorpusError, match="format 1, found 99"):
        load_corpus(store)


def test_other_settings_or_parts_than_the_stores_are_refused_with_what_differs(made, small):
    corpus = load_corpus(made[1].path)
    other = EncoderSettings(user=USER, system=(Lsa(dim=9),), context=SETTINGS["context"])
    with pytest.raises(OptionError, match=r"setting system = .*\"dim\":8.* this training has system = .*\"dim\":9"):
        parts_of(corpus, other)
    with pytest.raises(OptionError, match="--split train --dev auto: 24 dialogues"):
        DialogPolicy(**QUICK | SETTINGS).fit(corpus.split("test"), dev=None)
    with pytest.raises(DialogPolicyError, match="prepared from the format 'jsonl'"):
        load_corpus(made[1].path, format="table")


def test_a_store_without_features_is_refused_only_by_training(made, small, tmp_path):
    store = prepare(small, tmp_path / "S", split="none")
    assert list(store) == list(small)
    with pytest.raises(CorpusError, match="--split none"):
        parts_of(store)


def test_an_id_that_occurs_twice_is_refused(made, tmp_path):
    line = made[0].read_text().splitlines()[0]
    (tmp_path / "twice.jsonl").write_text(f"{line}\n{line}\n")
    with pytest.raises(CorpusError, match="occurs twice"):
        prepare(tmp_path / "twice.jsonl", tmp_path / "S", turns_a_shard=1)
