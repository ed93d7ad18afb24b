"""Several corpora, or files of several formats in one folder, read as one: whole, or refused with their names."""

import json
import warnings

import pytest

from dialog_policy.corpus.readers import load_corpus, open_corpus, stream
from dialog_policy.corpus.splits import hash_fraction
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError
from tests.corpus.test_readers import SAMPLES, write_folder

CSV = "dialogue_id,user,actions\n1,x,a\n2,y,b\n"
TRANSCRIPT = 't1: user: "hello", system: "hi"(action=c)\n'


def lines(*names, **others):
    return "".join(
        json.dumps({"id": name, "turns": [{"user": name, "actions": ["a"]}], **others}) + "\n" for name in names
    )


def test_formats_are_recognised_one_by_one_and_the_order_is_kept(tmp_path):
    write_folder(tmp_path, {"a.csv": CSV, "b.jsonl": lines("p", "q"), "c.txt": TRANSCRIPT})
    corpus = load_corpus([tmp_path / "b.jsonl", tmp_path / "a.csv", str(tmp_path / "c.txt")])
    assert [d.id for d in corpus] == ["p", "q", "1", "2", "c.txt:1"]
    assert (corpus.name, corpus.format) == ("b.jsonl + a.csv + c.txt", "mixed")
    assert list(stream([tmp_path / "b.jsonl", tmp_path / "a.csv", tmp_path / "c.txt"])) == list(corpus)
    same = load_corpus([tmp_path / "a.csv"])
    assert (same.name, same.format) == ("a.csv", "table")


def test_ids_that_are_taken_get_the_name_of_their_file(tmp_path):
    write_folder(tmp_path, {"a.csv": CSV, "b.jsonl": lines("2", "b.jsonl:2", "3"), "x/b.jsonl": lines("3")})
    ids = [d.id for d in load_corpus([tmp_path / "a.csv", tmp_path / "b.jsonl"])]
    assert ids == ["1", "2", "b.jsonl:2'", "b.jsonl:2", "3"]
    # Files of the same name are told apart by their paths.
    ids = [d.id for d in load_corpus([tmp_path / "b.jsonl", tmp_path / "x" / "b.jsonl"])]
    assert ids == ["2", "b.jsonl:2", "3", f"{tmp_path / 'x' / 'b.jsonl'}:3"]
    write_folder(tmp_path, {"twice.jsonl": lines("t", "t")})
    with pytest.raises(CorpusError, match="'t' occurs twice"):
        load_corpus([tmp_path / "a.csv", tmp_path / "twice.jsonl"])


@pytest.mark.parametrize("taken", [False, True])
def test_each_keeps_the_parts_that_it_has_by_itself(tmp_path, taken):
    names = [str(n) for n in range(60)]
    write_folder(tmp_path, {
        "plain.jsonl": lines(*names),
        "own.jsonl": lines(*(f"{'' if taken else 'o'}{n}" for n in names[:3]), split="test"),
        "more.jsonl": lines(*(f"m{n}" for n in names), split="train"),
    })  # fmt: skip
    paths = [tmp_path / name for name in ("plain.jsonl", "own.jsonl", "more.jsonl")]
    joined = load_corpus(paths)
    for part in ("train", "dev", "test"):
        alone = []
        for path in paths:
            if part in load_corpus(path).splits:
                alone += [d.turns for d in load_corpus(path).split(part)]
        assert [d.turns for d in joined.split(part)] == alone


def test_corpora_without_parts_of_their_own_are_cut_by_hash_as_one(tmp_path):
    write_folder(tmp_path, {"a.jsonl": lines("a", "b"), "b.jsonl": lines("c")})
    corpus = load_corpus([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert [d.split for d in corpus] == [None] * 3
    assert all(hash_fraction(d.id) < 0.8 for d in corpus.split("train"))


def test_reader_options_go_to_the_readers_that_have_them(tmp_path):
    write_folder(tmp_path, {"a.csv": CSV.replace("user", "said"), "b.jsonl": lines("p")})
    paths = [tmp_path / "a.csv", tmp_path / "b.jsonl"]
    assert [d.turns[0].user for d in load_corpus(paths, reader={"user": "said"})] == ["x", "y", "p"]
    with pytest.raises(OptionError, match="no option 'usr'"):
        load_corpus(paths, reader={"user": "said", "usr": "x"})


def test_no_path_and_the_same_path_twice_are_refused(tmp_path):
    write_folder(tmp_path, {"a.csv": CSV})
    with pytest.raises(OptionError, match="expected the path"):
        load_corpus([])
    with pytest.raises(OptionError, match="is named twice"):
        load_corpus([tmp_path / "a.csv", tmp_path / "." / "a.csv"])


def test_a_folder_of_single_files_in_several_formats_is_read_whole(tmp_path):
    write_folder(tmp_path, {"a.csv": CSV, "b.jsonl": lines("1", "q"), "c.txt": TRANSCRIPT, "README.txt": "About.\n"})
    corpus = load_corpus(tmp_path)
    assert len(corpus) == 5
    assert corpus.format == "mixed"
    assert {d.turns[0].user for d in corpus} == {"x", "y", "1", "q", "hello"}
    # Who names a format gets its files.
    assert len(load_corpus(tmp_path, format="jsonl")) == 2


@pytest.mark.parametrize(
    "names",
    [
        {"train": "train.csv", "dev": "val.jsonl", "test": "test.txt"},
        {"train": "data/train-00000-of-00002.csv", "dev": "data/dev.jsonl", "test": "data/testing.txt"},
        {"train": "train/a.csv", "dev": "validation/b.jsonl", "test": "test/2026/c.txt"},
    ],
)
def test_files_called_after_the_parts_are_the_parts(tmp_path, names):
    ids = [str(n) for n in range(20)]
    table = "dialogue_id,user,actions\n" + "".join(f"t{n},x,a\n" for n in ids)
    write_folder(tmp_path, {names["train"]: table, names["dev"]: lines(*ids), names["test"]: TRANSCRIPT})
    for named in (tmp_path, [tmp_path / name for name in names.values()]):
        corpus = load_corpus(named)
        if named != tmp_path and "/" in names["train"][:6]:
            assert "t0" in corpus.ids  # a file's own name counts, not those of the folders above a path
            continue
        assert [len(corpus.split(part)) for part in ("train", "dev", "test")] == [20, 20, 1]
        assert all(dialogue.id.startswith("t") for dialogue in corpus.split("train"))


def test_a_share_of_a_file_that_is_called_after_the_part_is_warned_of(tmp_path):
    write_folder(tmp_path, {"test.jsonl": lines(*map(str, range(40))), "calls.jsonl": lines(*map(str, range(40)))})
    with pytest.warns(
        CorpusWarning, match=r"test\.jsonl names no parts, so that 'test' is \d of its 40 dialogues.*--split all"
    ):
        load_corpus(tmp_path / "test.jsonl").split("test")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_corpus(tmp_path / "test.jsonl").split("train")
        load_corpus(tmp_path / "test.jsonl").split("all")
        load_corpus(tmp_path / "calls.jsonl").split("test")


def test_a_name_alone_makes_no_part_and_a_dialogue_knows_its_own(tmp_path):
    write_folder(tmp_path, {"train.csv": CSV, "b.jsonl": lines("b")})
    assert {d.split for d in load_corpus(tmp_path)} == {None}
    assert load_corpus(tmp_path / "train.csv")[0].split is None
    write_folder(tmp_path, {"test.jsonl": lines("c", split="pilot")})
    with pytest.warns(CorpusWarning, match="1 dialogue belongs to no part"):
        corpus = load_corpus(tmp_path)
    assert {d.id: d.split for d in corpus} == {"1": "train", "2": "dev", "b": None, "c": "pilot"}


def test_files_of_formats_that_do_not_belong_together_are_refused_with_their_names(tmp_path):
    write_folder(tmp_path, {**SAMPLES["star"][1], "mine.csv": CSV})
    with pytest.raises(CorpusError, match=r"its files are in several formats: star; table \(mine\.csv\)\."):
        load_corpus(tmp_path)
    assert len(load_corpus(tmp_path, format="table")) == 2
    # A table that holds no dialogues belongs to the corpus.
    write_folder(tmp_path, {"mine.csv": "task,number\nbank,3\n"})
    assert load_corpus(tmp_path).format == "star"


def test_files_that_are_not_read_are_named(tmp_path):
    write_folder(
        tmp_path, {"a.jsonl": lines("a"), "notes.txt": "x", "old.json": "{}", "README.md": "x", "LICENSE": "x"}
    )
    with pytest.warns(CorpusWarning, match=r"2 files are not read: notes\.txt, old\.json"):
        load_corpus(tmp_path)
    assert [p.check for p in open_corpus(tmp_path).problems()] == ["unread-files"]
