"""Predictors for tests: predictions that are there already."""

from dialog_policy.corpus import ActionSpace
from dialog_policy.evaluation import evaluate


class Given:
    """A Predictor that has its predictions, and counts how often it is called."""

    def __init__(self, predictions, name="given", actions=None):
        self.predictions, self.name, self.n_calls = predictions, name, 0
        self.actions = None if actions is None else ActionSpace(list(actions))

    def predict(self, dialogues):
        self.n_calls += 1
        return iter(self.predictions)


class Replying(Given):
    """One that also has replies."""

    def __init__(self, predictions, replies):
        super().__init__(predictions)
        self._replies = replies

    def replies(self, corpus, predictions):
        return {(p.dialogue, p.turn): self._replies[p.dialogue, p.turn] for p in predictions}


def judged(predictions, corpus, *, known_actions=None, baselines=None, **options):
    """Return the JSON object of an evaluation of predictions; `baselines`: name to predictions."""
    given = [Given(theirs, name) for name, theirs in (baselines or {}).items()]
    return evaluate(Given(predictions, actions=known_actions), corpus, baselines=given, **options).to_json()
