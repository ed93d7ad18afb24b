"""How a command reads a corpus for a run that remembers how its own was read."""

import contextlib
import sqlite3

import pytest

from dialog_policy.cli.options import read_corpus
from dialog_policy.corpus.readers import ADDRESSES
from dialog_policy.errors import CorpusError, OptionError


def test_a_corpus_of_the_format_of_the_run_is_read_in_no_other_way(tmp_path):
    remembered = {"format": "table", "reader": {"user": "utterance", "system": "system"}}
    table = tmp_path / "t.csv"
    table.write_text("dialogue_id,utterance,actions,context\n1,hi,greet,north\n")
    with pytest.raises(
        CorpusError, match=r"'context' cannot be read.* with user=utterance; --reader KEY=VALUE overrides"
    ):
        read_corpus(str(table), None, (), remembered)
    native = tmp_path / "n.jsonl"
    native.write_text('{"id": "1", "turns": [{"user": "hi", "actions": ["greet"]}]}\n')
    assert read_corpus(str(native), None, (), remembered).format == "jsonl"


def test_a_run_does_not_say_what_is_executed_on_a_database(tmp_path):
    pytest.importorskip("sqlalchemy")
    with contextlib.closing(sqlite3.connect(tmp_path / "x.db")) as database:
        database.execute("create table turns (dialogue_id text, turn int, user text, actions text)")
        database.execute("create table accounts (name text, password text)")
        database.execute("insert into turns values ('d', 0, 'hello', 'greet')")
        database.execute("insert into accounts values ('ada', 'secret')")
        database.commit()
    address = f"sqlite:///{tmp_path / 'x.db'}"
    query = "SELECT name AS dialogue_id, password AS user, 'greet' AS actions FROM accounts"
    remembered = {"format": "sql", "reader": {"query": query, "turn": "turn"}}
    with pytest.raises(OptionError, match=r"trained with query=SELECT name .*--reader query='SELECT name "):
        read_corpus(address, None, (), remembered)
    with pytest.raises(OptionError, match="trained with query="):
        read_corpus(address, "sql", (), remembered)
    own = read_corpus(address, None, ["query=SELECT * FROM turns"], remembered)
    assert own[0].turns[0].user == "hello"
    usual = ADDRESSES["sql"].options["query"].default
    assert list(read_corpus(address, None, (), {"format": "sql", "reader": {"query": usual}})) == list(own)
