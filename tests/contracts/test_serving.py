"""One policy, five ways to ask it: the trained network, the run's graph over whole dialogues and turn by turn, sessions alone
and together, saved and resumed. On dialogues of real corpora, every tenth of the large ones, they agree."""

import keras
import numpy as np
import pytest

from dialog_policy import DialogPolicy, load_corpus
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded import PADDING
from dialog_policy.network.batches import evaluation_batches
from tests.conftest import QUICK

CORPORA = {
    "star": ("star.zip", {"scenario": "happy"}),
    "babi": ("dialog-bAbI-tasks.zip", {"task": "5"}),
    "camrest": ("camrest-convlab-unified.zip", {}),
}


class Case:
    """A policy trained for a moment, a corpus, and what network and graph say of each of its turns."""

    def __init__(self, corpus, **settings):
        self.corpus = corpus
        trained = DialogPolicy(**QUICK | settings).fit(corpus.with_dialogues(list(corpus.split("train"))[:80]))
        self.policy = policy = trained.runtime_
        self.encoded = encoded = encode_dialogues(corpus, policy.engine.encoder)
        shape = int(encoded.offsets[-1]), encoded.n_actions
        network = keras.Model(trained.network_.inputs, trained.network_.get_layer("logits").output)
        keras_logits, self.graph, self.stepped = (np.empty(shape, dtype=np.float32) for _ in range(3))
        for turns in evaluation_batches(encoded):
            real, x = turns != PADDING, encoded.features(turns)
            keras_logits[turns[real]] = network.predict_on_batch(x)[real]
            self.graph[turns[real]] = policy.engine.onnx_network.run(
                x, policy.engine.onnx_network.start(len(x))
            ).logits[real]
            state = policy.engine.onnx_network.start(len(x))
            for step in range(x.shape[1]):
                here = real[:, step]
                logits, state = policy.engine.onnx_network.run(x[:, step : step + 1], state)
                self.stepped[turns[here, step]] = logits[here, 0]
        self.network = policy.engine.decoder.decide(keras_logits).probabilities
        predicted = iter(policy.predict(corpus, every_turn=True))
        self.decided = [[next(predicted).actions for _ in dialogue.turns] for dialogue in corpus]

    def truth(self, turn):
        """What a session is to observe: the logged system side; an action that the policy does not know has no bit."""
        actions = None if turn.actions is None else turn.actions & set(self.policy.actions.classes_)
        return {"actions": actions, "system": turn.system}

    def compare(self, number, actions, probabilities):
        """Compare decisions of all turns of dialogue `number` with those of evaluation, and probabilities with the network's."""
        rows = slice(self.encoded.offsets[number], self.encoded.offsets[number + 1])
        assert list(actions) == self.decided[number]
        np.testing.assert_allclose(np.array([list(p.values()) for p in probabilities]), self.network[rows], atol=1e-5)


@pytest.fixture(scope="module", params=["desk", *CORPORA])
def case(request, public_corpora):
    if request.param == "desk":
        corpus, settings = request.getfixturevalue("desk"), {"hidden": [12, 7]}
    else:
        name, options = CORPORA[request.param]
        corpus, settings = load_corpus(public_corpora(name), reader=options), {}
    return Case(corpus.with_dialogues(list(corpus)[:: 10 if len(corpus) > 1_000 else 1]), **settings)


def test_the_graph_is_the_network_at_once_and_turn_by_turn(case):
    decide = case.policy.engine.decoder.decide
    np.testing.assert_allclose(decide(case.graph).probabilities, case.network, atol=1e-5)
    np.testing.assert_allclose(decide(case.stepped).probabilities, case.network, atol=1e-5)
    assert decide(case.graph).actions == decide(case.stepped).actions


def test_a_session_says_what_the_network_says(case):
    for number, dialogue in enumerate(case.corpus):
        session, steps = case.policy.start(), []
        for turn in dialogue.turns:
            steps.append(session.respond(turn.user, turn.context))
            session.observe(**case.truth(turn))
        case.compare(number, [s.actions for s in steps], [s.probabilities for s in steps])


def test_so_do_sessions_together_saved_and_resumed_at_every_turn(case):
    dialogues = list(case.corpus)
    sessions = [case.policy.start() for _ in dialogues]
    steps = [[] for _ in dialogues]
    for position in range(max(map(len, dialogues))):
        active = [n for n, dialogue in enumerate(dialogues) if len(dialogue) > position]
        turns = {n: dialogues[n].turns[position] for n in active}
        requests = [(sessions[n], turns[n].user, turns[n].context) for n in active]
        for n, step in zip(active, case.policy.respond_many(requests), strict=True):
            steps[n].append(step)
            sessions[n].observe(**case.truth(turns[n]))
            sessions[n] = case.policy.resume(sessions[n].to_bytes())
    for number, own in enumerate(steps):
        case.compare(number, [s.actions for s in own], [s.probabilities for s in own])
