"""Corpora and settings at the limits: every character, names of every kind, very long, very wide, nothing to tell apart."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from dialog_policy import DialogPolicy
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.write import write_corpus
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.evaluation import evaluate
from dialog_policy.report import html_report, markdown_report
from dialog_policy.runtime import Policy
from dialog_policy.runtime.export import export_run
from tests.cli.commands import run as command
from tests.conftest import REPOSITORY

GOOD = REPOSITORY / "tests" / "fixtures" / "run-format-4"
BITS = [{"kind": "bits", "max_terms": 20}]
TINY = {"hidden": 4, "epochs": 1, "user": BITS, "system": BITS, "context": BITS}
# Spaces, separators of tables and lists, line ends, quotation marks, markup, NUL, right to left, other planes, marks only.
NAMES = [
    "a b",
    "a,b",
    "a|b",
    "a\nb",
    "a\r\nb",
    '"a"',
    "<b>",
    "a=b",
    "+",
    "\0",
    "\u202eabc",
    "\U0001f600",
    "\u0301",
    "\ufeff",
    "x" * 500,
]


def dialogue(number, turns):
    spoken = tuple(Turn(user=user, actions=frozenset(actions), system=user[::-1]) for user, actions in turns)
    return Dialogue(id=f"{number}\n{NAMES[number % len(NAMES)]}", turns=spoken)


@pytest.fixture(scope="module")
def strange():
    """Names and texts of every kind; one text of a megabyte; a context with the same."""
    every = "".join(map(chr, [*range(0x300), *range(0x10000, 0x110000, 0x3000), 0xFFFF, 0x10FFFF]))
    texts = [*NAMES, every, "word " * 200_000, ""]
    made = [
        dialogue(n, [(texts[(n + t) % len(texts)], NAMES[n : n + t]) for t in range(1, 4)]) for n in range(len(NAMES))
    ]
    odd = Turn(user="hi", context={name: {name: [name]} for name in NAMES}, actions=frozenset())
    return Corpus([*made, Dialogue(id="context", turns=(odd, odd))])


def test_whatever_names_and_texts_are_made_of(strange, tmp_path):
    write_corpus(strange, tmp_path / "c.jsonl")
    read = load_corpus(tmp_path / "c.jsonl")
    assert list(read) == list(strange)
    DialogPolicy(**TINY).fit(read, dev=None, out=tmp_path / "run")
    policy = Policy.load(tmp_path / "run")
    assert set(policy.actions) == set(NAMES)
    predicted = list(policy.predict(strange))
    export_run(tmp_path / "run", tmp_path / "run.zip")
    assert list(Policy.load(tmp_path / "run.zip").predict(strange)) == predicted
    session = policy.start()
    for turn, expected in zip(strange[0].turns, predicted, strict=False):
        assert session.respond(turn.user, turn.context).actions == expected.actions
        session.observe(turn.actions, turn.system)
    assert policy.resume(session.to_bytes()).to_bytes() == session.to_bytes()
    forms = ["--json", "e.json", "--html", "e.html", "--markdown", "e.md", "--csv", "csv"]
    outputs = [form if form.startswith("--") else str(tmp_path / form) for form in forms]
    command("evaluate", tmp_path / "run", tmp_path / "c.jsonl", "--split", "all", "--resamples", "0", *outputs)
    for number, suffix in enumerate(("csv", "tsv", "jsonl")):
        command("convert", tmp_path / "c.jsonl", tmp_path / f"again{number}.{suffix}")
        again = load_corpus(tmp_path / f"again{number}.{suffix}")
        assert [[t.actions for t in d.turns] for d in again] == [[t.actions for t in d.turns] for d in strange]


def test_twenty_thousand_turns():
    policy = Policy.load(GOOD)
    known = load_corpus(GOOD.with_name(f"{GOOD.name}-dialogues.jsonl"))[0].turns
    long = Dialogue(id="long", turns=(known * (20_000 // len(known) + 1))[:20_000])
    predicted = list(policy.predict([long]))
    assert len(predicted) == long.n_targets > 19_000
    assert predicted[: len(known)] == [p for p in predicted if p.turn < len(known)]
    first = list(policy.predict([Dialogue(id="long", turns=known)]))
    assert predicted[: len(first)] == first
    result = evaluate(policy, [long], baselines=(), resamples=0)
    assert 0 <= result.turn_accuracy <= 1


@pytest.mark.parametrize(
    "case", ["all turns equal", "a single class", "constant features", "an action that validation lacks"]
)
def test_nothing_to_tell_apart(case, tmp_path):
    def turns(n):
        user = "hello" if case in ("all turns equal", "constant features") else f"hello {n}"
        action = "a" if case in ("all turns equal", "a single class") else "ab"[n % 2]
        return [(user, [action])] * 3

    train = [dialogue(n, turns(n)) for n in range(12)]
    dev = [dialogue(n, turns(0)) for n in range(20, 24)]
    policy = DialogPolicy(**TINY, smallest_dev=1).fit(train, dev=dev, out=tmp_path / "run")
    assert [row["epoch"] for row in policy.history_] == [1]
    for prediction in Policy.load(tmp_path / "run").predict([*train, *dev]):
        assert not prediction.out_of_bounds()
    result = evaluate(policy, train, resamples=100)
    figures = result.to_json()
    assert all(np.isfinite(figures[name]) for name in ("turn_accuracy", "macro_f1", "log_loss"))
    assert "Turn accuracy" in markdown_report(result)
    assert "Turn accuracy" in html_report(result)


@pytest.mark.parametrize("value", [-1.7e308, 1e50, 5e-324])
def test_rewards_at_their_limits(value, tmp_path):
    known = load_corpus(GOOD.with_name(f"{GOOD.name}-dialogues.jsonl"))
    write_corpus(_logged(known, value, 1.0), tmp_path / "c.jsonl")
    arguments = (
        "value",
        GOOD,
        tmp_path / "c.jsonl",
        "--split",
        "all",
        "--json",
        tmp_path / "v.json",
        "--resamples",
        "100",
    )
    said = command(*arguments, code=2 if abs(value) > 1e50 else 0).output
    assert not {"nan", "inf"} & set(said.lower().split())


@pytest.mark.parametrize("propensity", [5e-324, 1.0])
def test_propensities_at_their_limits(propensity, tmp_path):
    known = load_corpus(GOOD.with_name(f"{GOOD.name}-dialogues.jsonl"))
    write_corpus(_logged(known, 1.0, propensity), tmp_path / "c.jsonl")
    said = command("value", GOOD, tmp_path / "c.jsonl", "--split", "all", "--resamples", "100").output
    assert not {"nan", "inf"} & set(said.lower().split())


def _logged(dialogues, reward, propensity):
    def logged(turn):
        if not turn.is_target:
            return turn
        return Turn(user=turn.user, actions=turn.actions, system=turn.system, reward=reward, propensity=propensity)

    return [Dialogue(id=d.id, turns=tuple(map(logged, d.turns))) for d in dialogues]


def test_what_is_no_text_or_no_json_is_named():
    for context in ({"a": "\ud800"}, {"a": object()}):
        wrong = [Dialogue(id="wrong", turns=(Turn(user="hi", context=context, actions=frozenset("a")),))]
        with pytest.raises(CorpusError, match="JSON values"):
            DialogPolicy(**TINY).fit(wrong, dev=None)
        with pytest.raises(CorpusError, match="JSON values"):
            list(Policy.load(GOOD).predict(wrong))
        with pytest.raises(OptionError, match="JSON object"):
            Policy.load(GOOD).start().respond("hi", context)
    session = Policy.load(GOOD).start()
    session.respond("half a pair \ud800")
    assert session.turns[0].user == "half a pair ?"
    session.to_bytes()


_TRAIN = """
import json, sys
from dialog_policy import DialogPolicy
from dialog_policy.network.backend import be_lean
be_lean()
corpus, out, settings = sys.argv[1:]
DialogPolicy(**json.loads(settings)).fit(corpus, dev=None, out=out)
"""


def test_the_same_bytes_whatever_hash_seed_locale_and_time_zone(tmp_path):
    surroundings = [
        {"PYTHONHASHSEED": "1", "LC_ALL": "C", "TZ": "UTC", "OMP_NUM_THREADS": "1"},
        {"PYTHONHASHSEED": "2", "LC_ALL": "tr_TR.UTF-8", "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "2"},
    ]
    corpus = GOOD.with_name(f"{GOOD.name}-dialogues.jsonl")
    trainings = [
        subprocess.Popen(
            [sys.executable, "-c", _TRAIN, corpus, tmp_path / f"run{number}", json.dumps(TINY)],
            env={**os.environ, **variables, "PYTHONPATH": str(REPOSITORY), "PYTHONUTF8": "1"}, cwd=REPOSITORY,
        )
        for number, variables in enumerate(surroundings)
    ]  # fmt: skip
    assert [training.wait() for training in trainings] == [0, 0]
    first, second = ({path.name: path.read_bytes() for path in (tmp_path / f"run{n}").glob("*.*")} for n in range(2))
    assert {name for name in first if first[name] != second[name]} == {"run.json"}, "which has name and date"
