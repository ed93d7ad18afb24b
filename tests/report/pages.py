"""Results that the package itself computes, and their pages: what reports must keep up with."""

import random
from dataclasses import dataclass
from functools import cache
from typing import Any

from dialog_policy.comparison import compare
from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.ope import estimate_value
from dialog_policy.prediction import Prediction
from dialog_policy.report import html_report, result_of
from dialog_policy.text.tokens import tokenize
from tests.predictors import judged
from tests.report.results import AWKWARD, HISTORY, score_result

ACTIONS = (*AWKWARD, "bye")


@dataclass(frozen=True)
class Made:
    """What was computed of one corpus."""

    corpus: Corpus
    score: dict[str, Any]
    comparison: dict[str, Any]
    value: dict[str, Any]
    summary: dict[str, Any]


def corpus(dialogues: int = 60) -> Corpus:
    """Dialogues of 2 to 6 turns in which the system mostly answers a word by its action; with rewards."""
    draw = random.Random(1)
    made = []
    for number in range(dialogues):
        turns = []
        for _ in range(draw.randint(2, 6)):
            action = draw.choice(ACTIONS)
            done = frozenset({action} if draw.random() < 0.9 else {action, "bye"})
            turns.append(
                Turn(user=f"please {action}", context={"seen": "是"}, actions=done, system="好", reward=draw.random())
            )
        fields = {"domain": draw.choice(["餐厅", "<i>train</i>"])}
        made.append(Dialogue(id=f"d{number}", turns=tuple(turns), fields=fields))
    return Corpus(made, name="<made>.jsonl")


def predictions(dialogues: Corpus, accuracy: float, seed: int) -> list[Prediction]:
    """Predictions of which this share is right, with probabilities."""
    draw = random.Random(seed)
    made = []
    for dialogue in dialogues:
        for number, turn in enumerate(dialogue.turns):
            right = draw.random() < accuracy
            actions = turn.actions or frozenset()
            chosen = actions if right else frozenset([draw.choice(ACTIONS)])
            shares = {action: 0.9 if action in chosen else 0.05 for action in ACTIONS}
            made.append(
                Prediction(
                    dialogue=dialogue.id,
                    turn=number,
                    actions=chosen,
                    probabilities=shares,
                    confidence=draw.uniform(0.5, 0.95),
                )
            )
    return made


@cache
def make() -> Made:
    """Compute everything once."""
    dialogues = corpus()
    good, bad = predictions(dialogues, 0.9, 2), predictions(dialogues, 0.5, 3)
    score = judged(good, dialogues, baselines={"majority": bad}, resamples=100, mistakes=True)
    score["mode"] = "teacher-forced"
    comparison = compare({"good <1>": good, "坏的": bad}, dialogues, resamples=200).to_json()
    comparison["curve"] = [
        {
            "policy": "good <1>",
            "share": share,
            "dialogues": int(60 * share),
            "turns": 200,
            "seed": seed,
            "turn_accuracy": share * 0.8,
        }
        for share in (0.5, 1.0)
        for seed in (0, 1)
    ]
    counts, _ = examine(dialogues, tokenize)
    return Made(
        corpus=dialogues,
        score=score,
        comparison=comparison,
        value=estimate_value(good, dialogues, resamples=100).to_json(),
        summary=CorpusSummary.of(counts, corpus=dialogues.name, format="native", problems=["One problem."]).to_json(),
    )


@cache
def pages() -> dict[str, str]:
    """Name to page: every page that the package makes."""
    made = make()
    return {
        "score": html_report(result_of(made.score), history=HISTORY),
        "many actions": html_report(result_of(score_result(251)), history=HISTORY),
        "compare": html_report(result_of(made.comparison)),
        "value": html_report(result_of(made.value)),
        "corpus": html_report(result_of(made.summary)),
    }
