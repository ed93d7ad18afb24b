import json
import os
import shutil
import subprocess
import sys
import unicodedata
from types import SimpleNamespace

import numpy as np
import pytest

from dialog_policy import DialogPolicy
from dialog_policy.corpus import ActionSpace
from dialog_policy.features import cache, encode, matrices
from dialog_policy.features.encode import encode_parts
from dialog_policy.features.encoded import PADDING
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.text.encoders import Bits, Embedding, Lsa
from tests.conftest import QUICK, REPOSITORY

USER = (Bits(max_terms=200), Lsa(dim=8), Lsa(unit="character", ngrams=(3, 4), dim=8))
SETTINGS = EncoderSettings(user=USER, system=(Lsa(dim=8),), context=(Bits(max_terms=50),))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty cache that keeps small corpora, too."""
    monkeypatch.setenv("DIALOG_POLICY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encode, "FEWEST_TURNS", 0)
    return tmp_path / "cache" / "encoded"


def encode_small(small, settings=SETTINGS, seed=0):
    train = small.split("train")
    actions = ActionSpace().fit(turn.actions for dialogue in train for turn in dialogue.turns)
    return encode_parts(train, small.split("dev"), actions, settings, seed=seed)


def content(parts):
    """Everything that training sees, and the encoder."""
    contents = []
    for encoded in parts[1:]:
        turns = encoded.padded_turns(np.arange(len(encoded)))
        contents += [
            encoded.features(turns).tobytes(),
            encoded.targets(turns).tobytes(),
            encoded.weights(turns).tobytes(),
        ]
        contents += [encoded.ids, encoded.offsets.tobytes(), encoded.widths]
        for number, texts in encoded.embedded.items():
            contents += [
                number,
                texts.packed.values.tobytes(),
                texts.packed.offsets.tobytes(),
                texts.table.word_dropout,
            ]
    described, arrays = parts.encoder.to_parts()
    return contents, described, {name: array.tobytes() for name, array in arrays.items()}


def refuse(*args, **kwargs):
    raise AssertionError("fitted although it is in the cache")


def entries(folder):
    return [path for path in folder.iterdir() if not path.name.startswith(".")]


@pytest.mark.parametrize("user", [USER, (*USER, Embedding(dim=4, init="random"))])
def test_what_the_cache_gives_back_is_what_was_made_to_the_byte(folder, small, monkeypatch, user):
    settings = EncoderSettings(user=user, system=(Lsa(dim=8),), context=(Bits(max_terms=50),))
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "")
    without = content(encode_small(small, settings))
    assert not folder.exists()
    monkeypatch.setenv("DIALOG_POLICY_CACHE", str(folder.parent))
    assert content(encode_small(small, settings)) == without
    monkeypatch.setattr(encode, "fit_turn_encoder", refuse)
    cached = encode_small(small, settings)
    assert content(cached) == without
    assert any(isinstance(matrix, matrices.MappedRows) for matrix, _ in cached.train.parts)


def test_other_content_settings_or_code_are_not_found(folder, small, monkeypatch):
    encode_small(small)
    other = small.with_dialogues(list(small)[1:])
    monkeypatch.setattr(encode, "fit_turn_encoder", refuse)
    encode_small(small)
    with pytest.raises(AssertionError):
        encode_small(other)
    with pytest.raises(AssertionError):
        encode_small(small, EncoderSettings(user=USER, system=(Lsa(dim=9),), context=(Bits(max_terms=50),)))
    monkeypatch.setattr(cache, "_code", lambda: ["another version"])
    with pytest.raises(AssertionError):
        encode_small(small)


@pytest.mark.parametrize("what", ["unicode", "regex", "lookup"])
def test_what_else_decides_how_texts_are_cut_is_part_of_the_name(monkeypatch, what):
    code = vars(cache)["_code"]

    def name():
        code.cache_clear()  # as in a new process
        return cache.entry_name(SETTINGS, 0, {}, ActionSpace(["a"]), {})

    before = name()
    assert name() == before
    if what == "unicode":
        monkeypatch.setattr(unicodedata, "unidata_version", "99")
    elif what == "regex":
        known = cache.version
        monkeypatch.setattr(cache, "version", lambda package: "99" if package == "regex" else known(package))
    else:
        monkeypatch.setattr(cache, "lookup", None if cache.lookup else SimpleNamespace(__file__=__file__))
    assert name() != before
    code.cache_clear()


@pytest.mark.parametrize("pattern", ["train.user.1.npy", "train.safetensors", "encoder.json", "entry.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_a_damaged_entry_is_made_anew(folder, small, pattern, damage):
    made = content(encode_small(small))
    (entry,) = entries(folder)
    path = entry / pattern
    whole = path.read_bytes()
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            whole[: len(whole) // 2] + (b"" if damage == "cut" else b"\x01" * (len(whole) - len(whole) // 2))
        )
    assert content(encode_small(small)) == made
    assert path.read_bytes() == whole
    assert [p.name for p in folder.iterdir()] == [entry.name]


def test_the_oldest_entries_go_first_and_what_is_not_ours_stays(folder, small, monkeypatch):
    folder.mkdir(parents=True)
    (folder / "photographs").mkdir()
    kept = []
    for seed in range(3):
        if seed == 2:  # room for two
            size = sum(path.stat().st_size for path in kept[0].iterdir())
            monkeypatch.setattr(cache, "_LIMIT", int(2.5 * size))
        encode_small(small, seed=seed)
        (new,) = set(entries(folder)) - {*kept, folder / "photographs"}
        os.utime(new / "entry.json", (seed + 1e9, seed + 1e9))
        kept.append(new)
        if seed == 1:  # the first is used again, so the second is the oldest
            encode_small(small, seed=0)
    assert set(entries(folder)) == {kept[0], kept[2], folder / "photographs"}


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, small, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setattr(encode, "FEWEST_TURNS", 0)
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "")
    without = content(encode_small(small))
    monkeypatch.setenv("DIALOG_POLICY_CACHE", str(tmp_path / "file" / "cache"))
    assert content(encode_small(small)) == without


def test_an_interruption_leaves_nothing(folder, small, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(cache, "_write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        encode_small(small)
    assert list(folder.iterdir()) == []


def test_two_processes_at_once_leave_one_whole_entry(folder, small):
    program = (
        "from dialog_policy import load_corpus; from tests.features import test_cache as t; from dialog_policy.features import encode;"
        "import hashlib, sys; encode.FEWEST_TURNS = 0; desk = load_corpus('corpora/desk.jsonl'); sys.stdin.readline();"
        "small = desk.with_dialogues([d for p in ('train', 'dev') for d in list(desk.split(p))[:24]]);"
        "print(hashlib.sha256(repr(t.content(t.encode_small(small))).encode()).hexdigest())"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=REPOSITORY, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for _ in range(2)
    ]
    for process in running:
        process.stdin.write("\n")
        process.stdin.flush()
    digests = {process.communicate(timeout=600)[0] for process in running}
    assert len(digests) == 1
    assert digests != {""}
    (entry,) = list(folder.iterdir())
    hashes = json.loads((entry / "entry.json").read_text())["files"]
    assert {path.name for path in entry.iterdir()} == {*hashes, "entry.json"}


def test_training_gives_the_same_run_with_and_without(folder, small, tmp_path, monkeypatch):
    bits = [{"kind": "bits", "max_terms": 50}]
    user = [*bits, {"kind": "lsa", "dim": 8}]
    policy = DialogPolicy(**{**QUICK, "epochs": 1, "user": user, "system": bits, "context": bits})

    def train(run):
        policy.fit(small.split("train"), dev=small.split("dev"), out=run)
        return {path.name: path.read_bytes() for path in run.iterdir() if path.is_file() and path.name != "run.json"}

    encode_small(small, policy.config.encoders)
    with monkeypatch.context() as patch:
        patch.setattr(encode, "fit_turn_encoder", refuse)
        files = train(tmp_path / "found")
    shutil.rmtree(folder)
    monkeypatch.setenv("DIALOG_POLICY_CACHE", "")
    assert files == train(tmp_path / "without")
    assert not folder.exists()


def test_pages_of_a_mapped_matrix_are_given_back(tmp_path, monkeypatch):
    matrix = matrices.new_file(tmp_path / "m.npy", (4_001, 700))
    matrix[:4_000] = np.arange(4_000)[:, None]
    del matrix
    released = []
    monkeypatch.setattr(matrices, "release", lambda array: released.append(len(released)))
    monkeypatch.setattr(matrices, "_RESIDENT", 1 << 20)
    mapped = matrices.MappedRows(tmp_path / "m.npy")
    rows = np.array([[3, PADDING], [3_999, 0]])
    for _ in range(40):
        taken = mapped[rows]
    assert taken[..., 0].tolist() == [[3, 0], [3_999, 0]]
    assert 1 <= len(released) <= 20
