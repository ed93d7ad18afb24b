"""Single files that are packed: read as what they hold, wherever they are."""

import bz2
import gzip
import lzma
import os
import sys
import zipfile

import pytest

from dialog_policy.corpus.readers import limits, load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, CorpusWarning
from tests.corpus.test_several import CSV, lines

PACK = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


def pack(suffix, content):
    if suffix == ".zst":
        return pytest.importorskip("pyarrow").compress(content, codec="zstd", asbytes=True)
    return PACK[suffix](content)


@pytest.mark.parametrize("suffix", [*PACK, ".zst"])
@pytest.mark.parametrize("kind", [".jsonl", ".csv", ".parquet"])
def test_a_packed_file_is_the_file_that_it_holds(tmp_path, small, kind, suffix):
    if kind == ".parquet":
        pytest.importorskip("pyarrow")
    plain = tmp_path / f"calls{kind}"
    write_corpus(small, plain)
    packed = tmp_path / f"calls{kind}{suffix}"
    packed.write_bytes(pack(suffix, plain.read_bytes()))
    assert list(load_corpus(packed)) == list(load_corpus(plain)) == list(small)
    packed.write_bytes(packed.read_bytes()[:-9])
    with pytest.raises(CorpusError, match=rf"calls\{kind}\{suffix}.*cannot be read"):
        load_corpus(packed)


def test_packed_files_in_a_folder_and_in_an_archive(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "train.csv.gz").write_bytes(gzip.compress(CSV.encode()))
    (folder / "test.jsonl.xz").write_bytes(lzma.compress(lines("p").encode()))
    corpus = load_corpus(folder)
    assert {d.id: d.split for d in corpus}["p"] == "test"
    assert corpus.format == "mixed"
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    assert list(load_corpus(tmp_path / "c.zip")) == list(corpus)
    # A packed copy beside its file is not read twice.
    (folder / "train.csv").write_text(CSV)
    with pytest.warns(CorpusWarning, match=r"1 file is not read: train\.csv\.gz"):
        assert len(load_corpus(folder)) == len(corpus)


def test_a_fault_is_told_with_the_files_own_name(tmp_path):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b"{}\n"))
    with pytest.raises(CorpusError, match=r"c\.jsonl\.gz, line 1"):
        load_corpus(tmp_path / "c.jsonl.gz")
    with pytest.raises(CorpusError, match=r"c\.jsonl\.gz, line 1"):
        load_corpus(tmp_path)


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "RATIO_COUNTS_FROM", 1 << 16)
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(b" " * (1 << 22)))
    with pytest.raises(CorpusError, match="it unpacks to more than a corpus does; refused"):
        load_corpus(tmp_path / "c.jsonl.gz")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such pipes")
def test_a_pipe_is_answered(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CorpusError, match=r"found a pipe or a device\. .*write it into a file first"):
        load_corpus(tmp_path / "pipe")
