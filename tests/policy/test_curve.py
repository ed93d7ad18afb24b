import pytest

from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.policy import make_config
from dialog_policy.policy.curve import learning_curve, share_of
from tests.conftest import QUICK


def test_shares_are_nested_whole_dialogues_and_seeds_differ(desk):
    train = desk.split("train")
    parts = {share: [d.id for d in share_of(train, share, 0)] for share in (0.1, 0.25, 1.0)}
    assert [len(ids) for ids in parts.values()] == [round(share * len(train)) for share in parts]
    assert set(parts[0.1]) < set(parts[0.25]) < set(parts[1.0])
    other = {d.id for d in share_of(train, 0.1, 1)}
    assert len(other & set(parts[0.1])) < len(other) / 2
    assert [d.id for d in share_of(train, 0.1, 0)] == parts[0.1]
    assert len(share_of(train, 1e-9, 0)) == 1


def test_a_row_a_training(small):
    config = make_config({**QUICK, "epochs": 1, "seed": 5})
    rows = learning_curve({"mine": config}, small.split("train"), small.split("test"), [1.0, 0.5], seeds=1, dev=None)
    assert [(row.policy, row.share, row.dialogues, row.seed) for row in rows] == [
        ("mine", 0.5, 12, 0),
        ("mine", 1.0, 24, 0),
    ]
    assert all(0 <= row.turn_accuracy <= 1 for row in rows)


@pytest.mark.parametrize(
    ("shares", "seeds", "message"),
    [
        ([0.0], 1, "found 0"),
        ([0.5, 0.5], 1, "twice"),
        ([float("nan")], 1, "found nan"),
        ([0.5], 0, "at least one seed"),
    ],
)
def test_impossible_options_are_refused(small, shares, seeds, message):
    with pytest.raises(OptionError, match=message):
        learning_curve({"mine": make_config(QUICK)}, small, small, shares, seeds=seeds)


def test_nothing_to_score_is_refused(small):
    empty = Corpus([Dialogue(id="d", turns=())], name="empty")
    with pytest.raises(CorpusError, match="empty has no turn"):
        learning_curve({"mine": make_config(QUICK)}, small, empty, [1.0])
