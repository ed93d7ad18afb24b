"""Corpora: every reader, archives, spreadsheets, files of whatever kind."""

import io
import tarfile
import zipfile
from functools import partial

import msgspec

from dialog_policy.corpus.lines import native_line
from dialog_policy.corpus.readers import load_corpus, open_source, readers
from dialog_policy.corpus.readers.recognition import choose
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError
from tests.fuzz.memory import InFolder
from tests.samples import SAMPLES

__all__ = ["MAKERS", "members_of"]


def members_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def read(source, reader):
    """Read a source whole; what is read is the same once it was written as JSON Lines."""
    opened = reader.open(source, reader.fill({}))
    list(opened.problems())
    dialogues = list(opened.dialogues())
    try:
        lines = b"".join(map(native_line, dialogues))
    except (CorpusError, msgspec.MsgspecError):  # a field whose name is taken
        return
    native = readers()["jsonl"]
    again = list(native.open(InFolder({"c.jsonl": lines}), native.fill({})).dialogues())
    assert again == dialogues, "what was read is not what comes back from JSON Lines"


def of_format(name, folder):
    contents = members_of(SAMPLES[name].put(folder / "sample"))
    names, reader = sorted(contents), readers()[name]

    def target(data):
        member = names[data[0] % len(names)] if data else names[0]
        read(InFolder({**contents, member: data[1:]}), reader)

    return target, [bytes([number]) + contents[member] for number, member in enumerate(names)]


def with_bits(folder):
    """Actions as bit vectors, in the formats that may have them."""
    contents = {
        "c.jsonl": b'{"id": "1", "turns": [{"user": "hi", "actions": [0, 1, 1]}, {"actions": "0 1 0"}, {"actions": null}]}',
        "c.csv": b"dialogue_id,user,actions\n1,hi,011\n1,so,[0. 1. 0.]\n1,,10\n2,x,null\n",
        "c.txt": b't1: user: "hi", system: "no"(action=011)\nt2: user: "so", system: ""(action=0,1,0)\n',
    }
    names, actions = sorted(contents), {"a", "b", "c"}

    def target(data):
        source = InFolder({names[data[0] % len(names)] if data else "c.csv": data[1:]})
        for reader in choose(source, None, readers()):
            for dialogue in reader.open(source, reader.fill({"bits": "a,b,c"})).dialogues():
                assert all(turn.actions is None or turn.actions <= actions for turn in dialogue.turns), "other actions"

    return target, [bytes([number]) + contents[name] for number, name in enumerate(names)]


def of_any_format(folder):
    """Which reader a file is for, by its name and content."""
    samples = [item for name in sorted(SAMPLES) for item in members_of(SAMPLES[name].put(folder / name)).items()]
    names = list(dict.fromkeys([*(member for member, _ in samples), "c.tsv", "c.json", "c.log", "c"]))

    def target(data):
        source = InFolder({names[data[0] % len(names)] if data else "c": data[1:]})
        for reader in choose(source, None, readers()):
            read(source, reader)

    return target, [bytes([names.index(member)]) + content for member, content in samples]


def archives(folder):
    def target(data):
        path = folder / "c"
        path.write_bytes(data)
        source = open_source(path)
        for reader in choose(source, None, readers()):
            read(source, reader)

    contents = members_of(SAMPLES["jsonl"].put(folder / "sample"))
    seeds = []
    for compression in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", compression) as archive:
            for member, content in contents.items():
                archive.writestr(member, content)
        seeds.append(packed.getvalue())
    for mode in ("w", "w:gz", "w:bz2", "w:xz"):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode=mode) as archive:
            for member, content in contents.items():
                info = tarfile.TarInfo(member)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        seeds.append(packed.getvalue())
    return target, seeds


def spreadsheets(folder):
    """Excel workbooks and Parquet, which libraries read."""

    def target(data):
        path = folder / f"c{('.xlsx', '.parquet')[data[0] % 2] if data else '.xlsx'}"
        path.write_bytes(data[1:])
        source = open_source(path)
        for reader in choose(source, None, readers()):
            read(source, reader)

    from openpyxl import Workbook

    dialogues = load_corpus(SAMPLES["jsonl"].put(folder / "sample"))
    write_corpus(dialogues, folder / "c.parquet")
    book = Workbook()
    for row in (("dialogue_id", "user", "actions", "system"), ("1", "hi", "greet", "hello"), ("1", "bye", "bye", "")):
        book.active.append(row)
    book.save(folder / "c.xlsx")
    return target, [b"\0" + (folder / "c.xlsx").read_bytes(), b"\1" + (folder / "c.parquet").read_bytes()]


MAKERS = {
    **{f"corpus-{name}": partial(of_format, name) for name in sorted(SAMPLES)},
    "corpus-any": of_any_format,
    "corpus-bits": with_bits,
    "archives": archives,
    "spreadsheets": spreadsheets,
}
