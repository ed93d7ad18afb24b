import json
import sqlite3

import pytest
from click.testing import CliRunner

from benchmarks.services import MissingServiceError, postgres_server
from dialog_policy import load_corpus
from dialog_policy.cli import main
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.cells import COLUMNS
from dialog_policy.corpus.lines import table_rows
from dialog_policy.corpus.readers import warehouse
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.store import prepare


@pytest.fixture
def database(small, tmp_path):
    """A database with the dialogues of the small corpus, their turns in no order."""
    path = tmp_path / "dialogues.db"
    with sqlite3.connect(path) as connection:
        kinds = {"turn": "INTEGER", "reward": "REAL", "propensity": "REAL"}
        columns = ", ".join(f"{name} {kinds.get(name, 'TEXT')}" for name in COLUMNS)
        connection.execute(f"CREATE TABLE turns ({columns}, secret TEXT)")
        rows = sorted(table_rows(small), key=lambda row: (row[1], row[2]))
        connection.executemany(f"INSERT INTO turns VALUES ({', '.join('?' * 10)}, 'x')", rows)
    connection.close()
    return f"sqlite:///{path}"


@pytest.fixture
def bucket(small):
    """The small corpus as two Parquet files at an address; the dialogue in the middle is in both."""
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    import pyarrow
    import pyarrow.parquet

    rows = [dict(zip((*COLUMNS, "secret"), (*row, "x"), strict=True)) for row in table_rows(in_order(small))]
    middle = len(rows) // 2
    for number, part in enumerate((rows[:middle], rows[middle:])):
        with system.open(f"/corpus/part-{number}.parquet", "wb") as file:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), file)
    yield "memory://corpus"
    system.rm("/corpus", recursive=True)


def in_order(corpus):
    return sorted(corpus, key=lambda dialogue: dialogue.id)


def test_a_query_gives_the_dialogues_in_a_stable_order(database, small):
    corpus = load_corpus(database)
    assert list(corpus) == in_order(small)
    assert corpus.format == "sql"


def test_a_bucket_gives_the_dialogues_of_all_its_files(bucket, small):
    assert list(load_corpus(bucket)) == in_order(small)


def test_parquet_at_the_address_of_a_file(small, tmp_path):
    pytest.importorskip("fsspec")
    write_corpus(in_order(small), tmp_path / "a.parquet")
    assert list(load_corpus(f"file://{tmp_path}/a.parquet")) == in_order(small)


def test_only_the_columns_and_parts_that_are_needed_are_fetched(database, bucket, small, monkeypatch):
    fetched = []
    read = warehouse.read_stream

    def watch(table, columns, bits, *, annotated):
        def rows():
            for number, row in table.rows():
                fetched.append(row)
                yield number, row

        return read(table._replace(rows=rows), columns, bits, annotated=annotated)

    monkeypatch.setattr(warehouse, "read_stream", watch)
    for address in (database, bucket):
        fetched.clear()
        corpus = load_corpus(address, reader={"splits": "dev"})
        assert {dialogue.id for dialogue in corpus} == set(small.split("dev").ids)
        assert len(fetched) == corpus.n_turns
        assert all(set(row) == set(COLUMNS) for row in fetched)
        assert load_corpus(address, reader={"extra": "secret"})[0].fields["secret"] == "x"


def test_a_query_of_ones_own(database, small):
    query = "SELECT dialogue_id AS d, turn, user, actions FROM turns WHERE split = 'test'"
    corpus = load_corpus(database, reader={"query": query, "dialogue_id": "d"})
    assert [[turn.user for turn in dialogue.turns] for dialogue in corpus] == [
        [turn.user for turn in dialogue.turns] for dialogue in in_order(small.split("test"))
    ]


@pytest.fixture
def log(tmp_path):
    """A log whose rows are in no order and have times instead of numbers."""
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE log (call INTEGER, at TEXT, said TEXT, did TEXT)")
        rows = [
            (call, f"2026-11-29 {at}", said, "do") for call in (1, 2) for at, said in (("12:03", "b"), ("09:01", "a"))
        ]
        connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?)", rows)
    connection.close()
    return f"sqlite:///{path}"


def test_turns_of_a_query_are_ordered_by_their_times(log):
    query = """SELECT call AS dialogue_id, said AS user, did AS actions, at AS turn, '{"n":1}' AS context FROM log"""
    corpus = load_corpus(log, reader={"query": query})
    assert [[turn.user for turn in dialogue.turns] for dialogue in corpus] == [["a", "b"], ["a", "b"]]
    assert corpus[0].turns[0].context == {"n": 1}


def test_a_query_that_leaves_the_order_of_turns_open_is_refused(log):
    query = "SELECT call AS dialogue_id, said AS user, did AS actions FROM log ORDER BY call, at"
    with pytest.raises(
        CorpusError, match=r"expected a column 'turn'.*order of the query itself does not count.*row_number"
    ):
        load_corpus(log, reader={"query": query})


def test_a_row_without_an_id_is_of_no_dialogue(log):
    query = "SELECT nullif(call, 2) AS dialogue_id, at AS turn, said AS user, did AS actions FROM log"
    with pytest.raises(CorpusError, match=r"the cell 'dialogue_id' is empty.*leave these rows out"):
        load_corpus(log, reader={"query": query})


def test_a_store_of_a_query_is_the_corpus_and_keeps_no_credentials(database, small, tmp_path, monkeypatch):
    monkeypatch.setenv("FILE", database.removeprefix("sqlite:///"))
    store = prepare("sqlite:///${FILE}?timeout=60", tmp_path / "S", turns_a_shard=100, split="none")
    assert list(store) == in_order(small)
    assert "timeout" not in (store.path / "store.json").read_text()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("postgresql+psycopg://bot:hunter2@db:5432/logs?sslkey=abc", "postgresql://db:5432/logs"),
        ("s3://bucket/folder", "s3://bucket/folder"),
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
    ],
)
def test_credentials_are_no_part_of_a_name(address, name):
    assert warehouse.name_of_address(address) == name


def test_what_fails_is_told_without_credentials(database, tmp_path):
    with pytest.raises(CorpusError, match=r"sqlite:///.*: the query failed .*no such table.*--reader query="):
        load_corpus(database, reader={"query": "SELECT * FROM calls"})
    with pytest.raises(CorpusError, match=r"there is no file '.*/other\.db'.*sqlite:////"):
        load_corpus(f"sqlite:///{tmp_path}/other.db")
    assert not (tmp_path / "other.db").exists()
    with pytest.raises(OptionError, match="no environment variable NOWHERE"):
        load_corpus("postgresql://bot:${NOWHERE}@db/x")
    with pytest.raises(CorpusError, match="expected a column 'act'"):
        load_corpus(database, reader={"actions": "act"})
    told = CliRunner().invoke(main, ["inspect", "postgresql+psycopg://bot:hunter2@127.0.0.1:1/logs"])
    assert told.exit_code == 2
    assert "hunter2" not in told.output + told.stderr
    assert "Traceback" not in told.output + told.stderr


@pytest.fixture(scope="module")
def postgres(small):
    """A table of a real PostgreSQL with the dialogues of the small corpus, their turns in no order."""
    driver = pytest.importorskip("psycopg", reason="psycopg is not installed (extra `test`)")
    try:
        with postgres_server() as url:
            kinds = {"turn": "int", "reward": "float8", "propensity": "float8"}
            columns = ", ".join(f'"{name}" {kinds.get(name, "text")}' for name in COLUMNS)
            with driver.connect(url) as connection:
                connection.execute(f"CREATE TABLE turns ({columns}, secret text DEFAULT 'x')")
                rows = sorted(table_rows(small), key=lambda row: (row[1], row[2]))
                connection.cursor().executemany(f"INSERT INTO turns VALUES ({', '.join(['%s'] * len(COLUMNS))})", rows)
            yield url.replace("postgresql://", "postgresql+psycopg://")
    except MissingServiceError as missing:
        pytest.skip(str(missing))


def test_a_real_postgres(postgres, small, tmp_path):
    assert list(load_corpus(postgres)) == in_order(small)
    dev = load_corpus(postgres, reader={"splits": "dev,test", "extra": "secret"})
    assert {dialogue.id for dialogue in dev} == {*small.split("dev").ids, *small.split("test").ids}
    assert dev[0].fields["secret"] == "x"
    assert list(prepare(postgres, tmp_path / "S", turns_a_shard=100, split="none")) == in_order(small)
    with pytest.raises(CorpusError, match=r'relation "nothing" does not exist.*--reader query='):
        load_corpus(postgres, reader={"query": "SELECT * FROM nothing"})


@pytest.fixture
def s3(small, monkeypatch):
    """A bucket of an S3 server of this machine with the small corpus, as two Parquet files."""
    server = pytest.importorskip("moto.server", reason="moto is not installed (extra `test`)")
    system = pytest.importorskip("s3fs", reason="s3fs is not installed (extra `test`)")
    import pyarrow
    import pyarrow.parquet

    for name, value in (
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "hunter2"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    running = server.ThreadedMotoServer(port=0, verbose=False)
    running.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*running.get_host_and_port()))
    system.S3FileSystem.clear_instance_cache()
    bucket = system.S3FileSystem()
    bucket.mkdir("logs")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table_rows(in_order(small))]
    for number, part in enumerate((rows[: len(rows) // 2], rows[len(rows) // 2 :])):
        with bucket.open(f"logs/corpus/part-{number}.parquet", "wb") as file:
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), file)
    yield "s3://logs/corpus"
    system.S3FileSystem.clear_instance_cache()
    running.stop()


def test_a_server_that_speaks_s3(s3, small, tmp_path):
    assert list(load_corpus(s3)) == in_order(small)
    assert {dialogue.id for dialogue in load_corpus(s3, reader={"splits": "dev"})} == set(small.split("dev").ids)
    assert list(prepare(s3, tmp_path / "S", turns_a_shard=100, split="none")) == in_order(small)
    with pytest.raises(CorpusError, match="s3://nowhere/at/all: ") as error:
        load_corpus("s3://nowhere/at/all")
    assert "hunter2" not in str(error.value)


def test_commands_take_an_address(database, small, tmp_path):
    told = CliRunner().invoke(main, ["inspect", database, "--json", str(tmp_path / "i.json")])
    assert told.exit_code == 0, told.output
    assert json.loads((tmp_path / "i.json").read_text())["dialogues"] == len(small)
    assert isinstance(load_corpus(database), Corpus)
