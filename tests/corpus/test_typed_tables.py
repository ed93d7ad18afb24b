"""Tables whose cells have types of their own: Parquet as pandas, Spark and databases write it."""

import json
from datetime import date, datetime, timezone
from decimal import Decimal

import pytest

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError

arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def read(tmp_path):
    def read_columns(**columns):
        count = len(next(iter(columns.values())))
        table = {"dialogue_id": ["a"] * count, "user": ["x"] * count, "actions": ["g"] * count} | columns
        parquet.write_table(arrow.table(table), tmp_path / "c.parquet")
        return load_corpus(tmp_path / "c.parquet")

    return read_columns


def test_what_json_has_no_type_for_is_read_as_it_is_written(read, tmp_path):
    moment = datetime(2026, 1, 2, 3, 4, tzinfo=timezone.utc)
    corpus = read(
        day=[date(2026, 1, 2)] * 2,
        at=[moment] * 2,
        price=[Decimal("1.50")] * 2,
        score=[float("nan")] * 2,
        context=[{"n": 1, "until": date(2026, 1, 2), "rate": Decimal("0.1")}, {"n": 2, "until": None, "rate": None}],
    )
    assert corpus[0].fields == {"day": "2026-01-02", "at": "2026-01-02 03:04:00+00:00", "price": "1.50"}
    assert corpus[0].turns[0].context == {"n": 1, "until": "2026-01-02", "rate": "0.1"}
    json.dumps(dict(corpus[0].fields))
    for name in ("again.jsonl", "again.csv", "again.parquet"):
        write_corpus(corpus, tmp_path / name)
        assert list(load_corpus(tmp_path / name)) == list(corpus)


def test_a_row_without_an_id_is_not_of_the_dialogue_above(read):
    with pytest.raises(CorpusError, match="line 2: the cell 'dialogue_id' is empty"):
        read(dialogue_id=["a", None])


def test_numbers_that_became_floats_are_the_names_that_they_were(read):
    one, two = read(dialogue_id=[1.0, 1.0, 2.0], actions=[3.0, None, 4.0])
    assert (one.id, two.id) == ("1", "2")
    assert [turn.actions for turn in one.turns] == [{"3"}, None]


@pytest.mark.parametrize("actions", [[["g", None]], [b"g"], [[b"g"]], [{"g": 1}]])
def test_actions_are_names(read, actions):
    with pytest.raises(CorpusError, match="dialogue 'a': the cell 'actions' cannot be read: expected names of actions"):
        read(actions=actions)


@pytest.mark.parametrize(
    "times", [["2026-01-01T10:00:00Z", "2026-01-01 11:30+02:00"], [date(2026, 1, 2), date(2026, 1, 1)]]
)
def test_times_order_the_turns(read, times):
    corpus = read(turn=times, user=["second", "first"])
    assert [turn.user for turn in corpus[0].turns] == ["first", "second"]


def test_times_that_cannot_be_compared_are_refused(read):
    with pytest.raises(
        CorpusError, match="has a time with a time zone as its turn, and this one has a time without a time zone"
    ):
        read(turn=["2026-01-01T10:00:00Z", "2026-01-01 10:00:01"])
    with pytest.raises(CorpusError, match="two turns with the time 2026-01-01 10:00:00, in line 1 and line 2"):
        read(turn=["2026-01-01 10:00:00"] * 2)


def test_folders_that_name_columns(tmp_path):
    for part, city in (("train", "Kiel"), ("test", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / f"split={part}" / f"home%20town={city}"
        folder.mkdir(parents=True)
        parquet.write_table(arrow.table({"dialogue_id": [part], "user": ["x"], "actions": ["g"]}), folder / "0.parquet")
    test, train = load_corpus(tmp_path)
    assert (train.id, train.split, train.fields) == ("train", "train", {"home town": "Kiel"})
    assert (test.split, test.fields) == ("test", {})
