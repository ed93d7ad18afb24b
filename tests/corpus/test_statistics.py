import random
import tracemalloc
from collections import Counter, defaultdict

import msgspec
import pytest
from hypothesis import given, settings

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.readers import stream
from dialog_policy.corpus.statistics import Statistics
from dialog_policy.report import result_of, text_report
from dialog_policy.report.corpus import binned
from dialog_policy.text.tokens import tokenize
from tests.strategies import corpora


def summarise(dialogues, words):
    statistics = Statistics(words)
    for dialogue in dialogues:
        statistics.add(dialogue)
    return msgspec.to_builtins(statistics.summary())


def turn(user="", actions=(), system="", context=None):
    return Turn(
        user=user, actions=None if actions is None else frozenset(actions), system=system, context=context or {}
    )


def dialogue(name, *turns, split=None):
    return Dialogue(id=name, turns=turns, split=split)


HELLO = (turn("Hello there", ["greet"], "Hi!"), turn("cheap food", ["ask", "offer"], "Where?"))
CORPUS = [
    dialogue("a", *HELLO, split="train"),
    dialogue("b", turn("hello THERE!", ["greet"]), turn("", [], "?"), turn("bye", None), split="train"),
    dialogue("c", *HELLO, split="train"),
    dialogue("d", *HELLO, split="test"),
    dialogue("e", turn("hello zebra", ["ask", "bye", "offer"]), split="test"),
]


@pytest.fixture(scope="module")
def counts():
    # A dev part that is empty, whatever the ids hash to: the labels are the corpus' own.
    return summarise([*CORPUS, dialogue("f", split="dev")], tokenize)


def test_sizes_and_lengths(counts):
    assert (counts["dialogues"], counts["turns"], counts["target_turns"]) == (6, 10, 9)
    assert counts["splits"]["train"] == {"dialogues": 3, "turns": 7, "target_turns": 6, "actions": 3}
    assert counts["splits"]["dev"] == {"dialogues": 1, "turns": 0, "target_turns": 0, "actions": 0}
    assert counts["lengths"] == {"0": 1, "1": 1, "2": 3, "3": 1}
    assert counts["length"] == {"min": 0, "max": 3, "mean": 10 / 6, "median": 2, "p90": 3}
    assert counts["empty_utterances"] == 1


def test_actions(counts):
    assert counts["actions"][0] == {"action": "ask", "turns": 4, "splits": {"train": 2, "dev": 0, "test": 2}}
    assert [row["action"] for row in counts["actions"]] == ["ask", "greet", "offer", "bye"]
    assert counts["only_in"] == {"train": [], "dev": [], "test": ["bye"]}
    assert counts["actions_per_turn"] == {"0": 1, "1": 4, "2": 3, "3": 1}
    assert (counts["action_sets"], counts["empty_sets"], counts["several_actions"]) == (4, 1, 4 / 9)
    assert counts["co_occurrence"] == [
        {"actions": ["ask", "offer"], "turns": 4},
        {"actions": ["ask", "bye"], "turns": 1},
        {"actions": ["bye", "offer"], "turns": 1},
    ]


def test_duplicates_within_and_across_parts(counts):
    assert counts["duplicate_dialogues"] == 2
    assert counts["duplicates"] == {
        "dialogues": 2,
        "groups": 1,
        "groups_across_splits": 1,
        "also_in_train": {"test": 1},
        "examples": [
            {
                "copies": 3,
                "splits": {"train": 2, "test": 1},
                "dialogues": [
                    {"dialogue": "a", "split": "train"},
                    {"dialogue": "c", "split": "train"},
                    {"dialogue": "d", "split": "test"},
                ],
            }
        ],
    }


def test_vocabulary(counts):
    # train: hello there cheap food hello there ! bye (and again the first four)
    assert counts["vocabulary"]["train"] == {"tokens": 12, "words": 6}
    assert counts["vocabulary"]["test"] == {
        "tokens": 6,
        "words": 5,
        "known_tokens": 5 / 6,
        "known_words": 4 / 5,
        "unknown_words": ["zebra"],
    }
    assert counts["vocabulary"]["dev"] == {"tokens": 0, "words": 0}


def test_contradictions_by_hand():
    many = [
        dialogue("1", turn("Hi", ["greet"], "Hello"), turn("Yes.", ["book"])),
        dialogue("2", turn("hi", ["greet"], "Hello"), turn("yes", ["book"])),
        dialogue("3", turn("Good day", ["greet"], "Hello"), turn("yes", ["ask", "offer"])),
        dialogue("4", turn("Good day", ["greet"], "Hello"), turn("yes", ["book"], context={"left": 0})),
        dialogue("5", turn("hi", ["greet"], "Hello"), turn("yes", None)),
        dialogue("6", turn("hi", ["bye"], "Hello")),
    ]
    counts = summarise(many, tokenize)["contradictions"]
    recent = counts["recent"]
    # "hi" at the start: four greet, one bye; "yes" after greet: two book, one ask and offer.
    assert (recent["histories"], recent["contradictory_histories"], recent["contradictory_turns"]) == (4, 2, 7)
    assert recent["max_accuracy"] == 8 / 10
    assert (recent["repeated_turns"], recent["max_accuracy_repeated"]) == (9, 7 / 9)
    assert recent["examples"][0] | {"outcomes": None} == {
        "user": "hi",
        "context": "",
        "previous_actions": None,
        "turns": 4,
        "lost_turns": 1,
        "outcomes": None,
    }
    assert recent["examples"][1]["previous_actions"] == ["greet"]
    assert recent["examples"][1]["outcomes"] == [
        {"actions": ["book"], "turns": 2, "dialogue": "1", "turn": 1},
        {"actions": ["ask", "offer"], "turns": 1, "dialogue": "3", "turn": 1},
    ]
    # The whole history tells "hi" and "good day" apart, so "yes" is no contradiction any more.
    whole = counts["whole"]
    assert (whole["contradictory_histories"], whole["max_accuracy"]) == (1, 9 / 10)


def _ceiling(corpus, history):
    outcomes = defaultdict(Counter)
    for d in corpus:
        for number, t in enumerate(d.turns):
            if t.actions is not None:
                outcomes[repr(history(d, number))][t.actions] += 1
    turns = sum(c.total() for c in outcomes.values())
    return sum(max(c.values()) for c in outcomes.values()) / turns


def _recent(d, number):
    t, before = d.turns[number], d.turns[number - 1] if number else None
    done = before and (sorted(before.actions) if before.actions is not None else {"words": tokenize(before.system)})
    return tokenize(t.user), t.context, done


def _whole(d, number):
    past = [
        (tokenize(t.user), t.context, None if t.actions is None else sorted(t.actions), tokenize(t.system))
        for t in d.turns[:number]
    ]
    return past, tokenize(d.turns[number].user), d.turns[number].context


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_ceilings_are_those_of_a_table_of_majorities(corpus):
    counts = summarise(corpus, tokenize)["contradictions"]
    assert counts["recent"]["max_accuracy"] == pytest.approx(_ceiling(corpus, _recent), abs=1e-12)
    assert counts["whole"]["max_accuracy"] == pytest.approx(_ceiling(corpus, _whole), abs=1e-12)
    assert counts["whole"]["max_accuracy"] >= counts["recent"]["max_accuracy"]


@settings(max_examples=30, deadline=None)
@given(corpora())
def test_the_order_of_dialogues_does_not_matter(corpus):
    def numbers(dialogues):
        counts = summarise(dialogues, tokenize)
        for kind in counts["contradictions"].values():
            del kind["examples"]
        del counts["duplicates"]["examples"]
        return counts

    assert numbers(list(corpus)) == numbers(list(corpus)[::-1])


@pytest.mark.parametrize("labels", [[None], ["train", "test"], ["train", "dev", "test-oov"], ["train", None]])
def test_parts_are_those_of_the_split_option(labels):
    corpus = Corpus(dialogue(f"d{i}", turn("x", ["a"]), split=labels[i % len(labels)]) for i in range(200))
    counts = summarise(corpus, tokenize)["splits"]
    assert {name: len(corpus.split(name)) for name in corpus.splits} == {n: p["dialogues"] for n, p in counts.items()}


def test_memory_grows_with_what_is_distinct_only():
    statistics = Statistics(tokenize)

    def feed(start, count):
        for number in range(start, start + count):
            statistics.add(dialogue(f"dialogue {number}", *HELLO * 5))

    feed(0, 50)
    tracemalloc.start()
    feed(50, 1000)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 10_000
    assert statistics.summary().duplicate_dialogues == 1049


def test_nothing_is_counted_without_dialogues():
    counts = summarise([], tokenize)
    assert counts["length"] is None
    assert counts["contradictions"]["recent"]["max_accuracy"] is None
    assert "There are no dialogues." in text_report(
        result_of({"corpus": "c", "format": "f", **counts, "problems": ["None."]})
    )


def test_bins_hold_every_dialogue():
    lengths = Counter(random.Random(1).choices(range(90), k=500))
    bins = binned({str(n): count for n, count in lengths.items()})
    assert len(bins) <= 16
    assert sum(count for _, count in bins) == 500


def test_sim_m(public_corpora):
    counts = summarise(stream(public_corpora("sim-M.zip")), tokenize)
    assert [counts["splits"][part]["target_turns"] for part in ("train", "dev")] == [1589, 507]
    assert counts["duplicates"]["also_in_train"] == {"dev": 3}
    assert (
        0.8 < counts["contradictions"]["recent"]["max_accuracy"] < counts["contradictions"]["whole"]["max_accuracy"] < 1
    )
