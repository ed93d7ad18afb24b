import pytest
from hypothesis import given, settings

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.part_labels import part_problems
from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.spelling import joined_names, missing_values, similar
from dialog_policy.corpus.splits import part_of
from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, CorpusWarning
from dialog_policy.report import text_report
from dialog_policy.report.words import printable
from dialog_policy.text.tokens import tokenize
from tests.strategies import corpora


def turn(user="hello", actions=("greet",), **others):
    return Turn(user=user, actions=None if actions is None else frozenset(actions), **others)


GOOD = [
    Dialogue(id=f"good {i}", turns=(turn(f"say {i}"), turn(f"do {i}", ["ask"]), turn("bye", ["bye", "ask"])))
    for i in range(4)
]


def problems(*dialogues):
    return {problem.check: problem for problem in examine([*GOOD, *dialogues], tokenize)[1]}


@pytest.fixture(autouse=True)
def _no_part_is_cut_by_hash(monkeypatch):
    # Everything is train, so that no action is unseen by chance of the ids' hashes.
    monkeypatch.setattr("dialog_policy.corpus.statistics.part_of", lambda label, fraction, own: label or "train")


def test_a_good_corpus_has_no_problems():
    assert problems() == {}


CASES = {
    "duplicate-id": ("error", Dialogue(id="good 1", turns=(turn("again"),)), None),
    "empty-id": ("error", Dialogue(id="", turns=(turn("x"),)), None),
    "not-storable": ("error", Dialogue(id="d", turns=(turn("\ud800"),)), None),
    "unnamed-action": ("error", Dialogue(id="d", turns=(turn(), turn(actions=["ask", " "]))), 1),
    "reward": ("error", Dialogue(id="d", turns=(turn(reward=float("nan")),)), 0),
    "propensity": ("error", Dialogue(id="d", turns=(turn(propensity=1.5),)), 0),
    "no-turns": ("warning", Dialogue(id="d", turns=()), None),
    "nothing-to-predict": ("warning", Dialogue(id="d", turns=(turn(actions=None),)), None),
    "silent-user": ("warning", Dialogue(id="d", turns=(turn(""), turn(" ", ["ask"]))), None),
    "damaged-text": ("warning", Dialogue(id="d", turns=(turn(), turn(system="caf\ufffd"))), 1),
    "duplicates": ("warning", Dialogue(id="d", turns=GOOD[0].turns), None),
    "rare-actions": ("warning", Dialogue(id="d", turns=(turn(actions=["once"]),)), None),
    "similar-names": ("warning", Dialogue(id="d", turns=(turn(actions=["offer_taxi", "ofer_taxi"]),) * 2), None),
    "missing-values": ("warning", Dialogue(id="d", turns=(turn("x", ["n/a"]), turn("y", ["n/a"]))), None),
    "joined-names": ("warning", Dialogue(id="d", turns=(turn("x", ["ask, greet"]), turn("y", ["ask, greet"]))), None),
    "spelling": ("warning", Dialogue(id="d", turns=(turn(actions=["Greet"]), turn(actions=["Greet"]))), None),
}


@pytest.mark.parametrize("check", CASES)
def test_every_problem_is_found_and_placed(check):
    level, faulty, number = CASES[check]
    by_check = problems(faulty)
    rare = {"rare-actions"} if check == "unnamed-action" else set()
    assert set(by_check) == {check} | rare
    problem = by_check[check]
    assert (problem.level, problem.count) == (level, 2 if check in ("spelling", "similar-names") else 1)
    assert problem.message
    assert problem.remedy
    if number is not None:
        assert problem.places[0].turn == number
        assert f"turn {number}" in str(problem)


def test_parts_that_resemble_the_usual_ones_are_told_when_a_corpus_is_loaded_too(tmp_path):
    parts = ["train", "Train ", "TEST", "validation", "extra"]
    file = tmp_path / "c.jsonl"
    write_corpus([Dialogue(id=part, turns=(turn(part),), split=part) for part in parts], file)
    with pytest.warns(CorpusWarning) as warned:
        corpus = load_corpus(file)
    loaded = [str(warning.message) for warning in warned]
    assert loaded == [str(p) for p in examine(corpus, tokenize)[1] if p.check == "part-name"]
    assert [sentence.partition(". ")[0] for sentence in loaded] == [
        f"The part {part!r} (1 dialogue) is another part than {usual}"
        for part, usual in {"TEST": "test", "Train ": "train", "validation": "dev"}.items()
    ]
    (problem,) = part_problems({"Pilot": 3, "pilot": 4, "train": 9, "dev": 1, "test": 1, "domain": 2})
    assert "'Pilot', 'pilot'" in problem.message


@pytest.mark.parametrize(
    ("names", "several"),
    [
        (["greet and book", "greet / bye", "greet+bye", "bye & greet"], True),
        (["greet_and_book", "greet and wait", "and/or", "greet/"], False),
    ],
)
def test_names_made_of_other_names(names, several):
    known = ["greet", "book", "bye"]
    assert joined_names([*known, *names]) == (sorted(names) if several else [])


def test_names_that_are_missing_values():
    words = ["NULL", "None", "-", "n/a", "NaN"]
    assert missing_values([*words, "nothing", "no_action", "nan_1"]) == sorted(words)


def test_a_context_that_holds_the_answer():
    leaking = [
        Dialogue(id=f"d{i}", turns=tuple(turn(f"{i} {a}", [a], context={"log": [a]}) for a in ("ask", "bye")))
        for i in range(3)
    ]
    assert problems(*leaking)["leak"].count == 6
    # A value that happens to be called like an action, now and then, is none.
    harmless = [Dialogue(id=f"h{i}", turns=(turn(f"{i}", context={"name": "ask"}),) * 3) for i in range(3)]
    assert "leak" not in problems(leaking[0], *harmless)


def test_copies_in_other_parts_and_actions_that_train_lacks():
    train = [Dialogue(id=f"t{i}", turns=d.turns, split="train") for i, d in enumerate(GOOD)]
    test = [
        Dialogue(id="copy", turns=GOOD[2].turns, split="test"),
        Dialogue(id="new", turns=(turn("a", ["new"]), turn("b", ["new"])), split="test"),
    ]
    by_check = {problem.check: problem for problem in examine([*train, *test], tokenize)[1]}
    assert set(by_check) == {"duplicates", "unseen-actions"}
    assert "train has 1 of test, too" in by_check["duplicates"].message
    assert {place.dialogue for place in by_check["duplicates"].places} == {"t2", "copy"}
    assert "1 action of test does not occur in train" in by_check["unseen-actions"].message
    assert "'new'" in by_check["unseen-actions"].message


def test_dialogues_without_a_part_beside_others_that_have_one(monkeypatch):
    monkeypatch.setattr("dialog_policy.corpus.statistics.part_of", part_of)
    train = [Dialogue(id=f"t{i}", turns=d.turns, split="train") for i, d in enumerate(GOOD[1:])]
    (problem,) = (p for p in examine([*train, GOOD[0]], tokenize)[1] if p.check == "no-part")
    assert (problem.count, problem.message) == (1, "1 dialogue belongs to no part, while others name theirs")
    assert not [p for p in examine(GOOD, tokenize)[1] if p.check == "no-part"]


def test_nothing_to_learn():
    assert [p.check for p in examine([], tokenize)[1]] == ["empty"]
    history = [Dialogue(id="d", turns=(turn(actions=None),))]
    assert [p.check for p in examine(history, tokenize)[1]] == ["no-actions", "nothing-to-predict"]
    blank = [Dialogue(id="d", turns=(turn("x", []), turn("y", [])))]
    assert [p.check for p in examine(blank, tokenize)[1]] == ["empty-actions"]
    same = [Dialogue(id=i, turns=(turn(f"x {i}"), turn())) for i in "ab"]
    assert [p.check for p in examine(same, tokenize)[1]] == ["one-set"]


def test_reading_that_breaks_off_is_a_problem_with_its_place():
    def dialogues():
        yield GOOD[0]
        raise CorpusError("expected a list.", path="c.jsonl", line=7, dialogue="x", turn=2, remedy="Write one.")

    (first, *_) = examine(dialogues(), tokenize)[1]
    assert str(first) == "Reading broke off: expected a list (c.jsonl, line 7, dialogue 'x', turn 2). Write one."
    assert first.level == "error"
    with pytest.raises(CorpusError):
        examine(dialogues(), tokenize, go_on=False)


def test_places_are_limited_and_counts_are_not():
    many = [Dialogue(id=f"e{i}", turns=()) for i in range(100)]
    problem = problems(*many)["no-turns"]
    assert (problem.count, len(problem.places)) == (100, 20)
    assert "; …)" in str(problem)


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_any_corpus_can_be_examined_and_described(corpus):
    counts, by_check = examine(corpus, tokenize)
    sentences = [str(problem) for problem in by_check]
    shown = text_report(CorpusSummary.of(counts, corpus=corpus.name, format=corpus.format, problems=sentences))
    written = "".join(shown.split())
    assert all("".join(printable(sentence).split()) in written for sentence in sentences)
    assert {problem.check for problem in by_check if problem.level == "error"} <= {"empty-actions"}


@pytest.mark.parametrize(
    ("turns", "pairs"),
    [
        ({"inform_adress": 4, "inform_address": 9}, [("inform_address", "inform_adress")]),
        ({"inform_adress": 9, "inform_address": 9}, [("inform_address", "inform_adress")]),
        ({"request_aera": 2, "request_area": 5}, [("request_area", "request_aera")]),
        ({"Inform-Time": 90, "inform_tine": 2}, [("Inform-Time", "inform_tine")]),
        ({"inform-time": 90, "inform-type": 30}, []),  # other words
        ({"inform_1": 9, "inform_2": 1, "inform_12": 1}, []),  # numbers
        ({"bye": 9, "byes": 1}, []),  # too short to say
        ({"offer_room": 9, "offer_Room": 1}, []),  # told of elsewhere
    ],
)
def test_names_that_are_probably_one(turns, pairs):
    assert similar(turns) == pairs


def test_problems_of_the_source_are_listed_by_their_level():
    source_problems = [Problem("note", "n", "m", "r"), Problem("error", "e", "m", "r")]
    bad = Dialogue(id="d", turns=())
    assert [p.check for p in examine([*GOOD, bad], tokenize, of_source=lambda: source_problems)[1]] == [
        "e",
        "no-turns",
        "n",
    ]
