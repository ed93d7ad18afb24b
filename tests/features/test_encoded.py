import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import ActionSpace, Corpus, Dialogue, Turn
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.errors import OptionError
from dialog_policy.features.encode import encode_dialogues
from dialog_policy.features.encoded import PADDING, EncodedDialogues
from dialog_policy.features.encoder import TurnEncoder
from dialog_policy.features.fit import fit_turn_encoder
from dialog_policy.features.projector import Projector
from dialog_policy.features.settings import EncoderSettings
from dialog_policy.features.turn_values import START
from dialog_policy.text.encoders import Bits, Embedding, FastText, Lsa, Word2Vec
from tests.strategies import ACTIONS, corpora, dialogues, turns

TRAIN = Corpus(
    Dialogue(
        id=str(i),
        turns=(
            Turn(
                user="hello cheap food",
                context={"results": [{"name": "x"}]},
                actions=frozenset(["ask"]),
                system="north",
            ),
            Turn(user=f"yes number{i}", actions=frozenset(["bye", "greet"]), system="no please"),
        ),
    )
    for i in range(6)
)
KINDS = {
    "bits": [Bits()],
    "lsa": [Lsa(dim=3), Lsa(unit="character", ngrams=(3, 5), dim=3)],
    "word2vec": [Word2Vec(dim=4, epochs=1, pools=("mean", "sif", "max"))],
    "fasttext": [FastText(dim=4, epochs=1)],
    "embedding": [Bits(), Embedding(dim=4), Embedding(dim=3, ngrams=(1, 2), init="random")],
}


def make(kind: str) -> TurnEncoder:
    encoders = KINDS[kind]
    context = encoders if kind in ("bits", "lsa") else [Bits()]
    return fit_turn_encoder(
        TRAIN, ActionSpace(ACTIONS), EncoderSettings(user=encoders, system=encoders, context=context)
    )


@pytest.fixture(scope="module", params=sorted(KINDS))
def encoder(request):
    return make(request.param)


def features(dialogue, encoder):
    encoded = encode_dialogues([dialogue], encoder)
    return encoded.features(np.arange(len(dialogue)))


@settings(max_examples=40, deadline=None)
@given(dialogue=dialogues(), later=st.lists(turns, max_size=3), system=turns, data=st.data())
def test_nothing_of_a_turns_system_side_or_later_reaches_its_features(encoder, dialogue, later, system, data):
    t = data.draw(st.integers(0, len(dialogue) - 1))
    own = dialogue.turns[t]
    changed = Turn(user=own.user, context=own.context, actions=system.actions, system=system.system + " changed")
    other = Dialogue(id="d", turns=(*dialogue.turns[:t], changed, *later))
    np.testing.assert_array_equal(features(dialogue, encoder)[: t + 1], features(other, encoder)[: t + 1])


def test_the_past_system_side_does_reach_the_features(encoder):
    def past(actions, system):
        first = Turn(user="hello", actions=frozenset(actions), system=system)
        return features(Dialogue(id="d", turns=(first, Turn(user="yes", actions=frozenset()))), encoder)[1]

    assert (past(["ask"], "north") != past(["bye"], "north")).any()
    assert (past(["ask"], "north") != past(["ask"], "please no")).any()


@pytest.mark.parametrize("compiled", [True, False])
@settings(max_examples=30, deadline=None)
@given(dialogue=dialogues())
def test_a_projection_is_that_of_the_features(encoder, compiled, dialogue):
    def summed(projections):
        return sum(np.frombuffer(projection, np.float32) for projection in projections)

    whole = np.random.default_rng(0).normal(size=(encoder.dim, 5)).astype(np.float32)
    pieces = np.split(whole, np.cumsum(list(encoder.layout.values()))[:-1])
    bias = np.arange(5, dtype=np.float32)
    parts = [
        Projector(encoder, part, p, bias, compiled=compiled) for part, p in zip(encoder.layout, pieces, strict=True)
    ]
    before, said, turns, tracker = START, "", [], EntityTracker(encoder.gazetteer)
    for turn in dialogue.turns:
        turns.append(encoder.values(tracker, turn.user, turn.context, said, before))
        before, said = turn.actions, turn.system
    expected = features(dialogue, encoder) @ whole + len(parts) * bias
    # Together, as they were remembered, and alone: what is compiled computes the same bits.
    together = [part.many(values) for part, values in zip(parts, zip(*turns, strict=True), strict=True)]
    np.testing.assert_allclose(np.stack(list(map(summed, zip(*together, strict=True)))), expected, atol=2e-4)
    for part, p, values, own in zip(parts, pieces, zip(*turns, strict=True), together, strict=True):
        assert [part.one(value) for value in values] == own
        alone = [Projector(encoder, part.part, p, bias, compiled=compiled).one(value) for value in values]
        if part.is_compiled:
            assert alone == own
    rows = [summed(part.one(value) for part, value in zip(parts, values, strict=True)) for values in turns]
    np.testing.assert_allclose(np.stack(rows), expected, atol=2e-4)


@settings(max_examples=30, deadline=None)
@given(corpus=corpora(), data=st.data())
def test_padding_is_zero_and_real_turns_are_those_of_the_dialogue_alone(encoder, corpus, data):
    encoded = encode_dialogues(corpus, encoder)
    chosen = data.draw(st.lists(st.integers(0, len(corpus) - 1), min_size=1, max_size=5))
    turns = encoded.padded_turns(chosen, int(encoded.lengths.max()) + data.draw(st.integers(0, 3)))
    x, y, w = encoded.features(turns), encoded.targets(turns), encoded.weights(turns)
    assert not x[turns == PADDING].any()
    assert not y[turns == PADDING].any()
    assert not w[turns == PADDING].any()
    many = list(corpus)
    for row, d in enumerate(chosen):
        n = len(many[d])
        np.testing.assert_array_equal(x[row, :n], features(many[d], encoder))
        assert w[row, :n].tolist() == [float(turn.is_target) for turn in many[d].turns]
        expected = encoder.actions.transform([turn.actions for turn in many[d].turns])
        np.testing.assert_array_equal(y[row, :n], expected)


def test_a_value_never_seen_before_is_no_obstacle():
    places = {"city": ("rome", "paris", "new hanoi")}

    def talk(city, other):
        records = [{"name": f"hotel {city}", "city": city}]
        return Dialogue(
            id=city,
            turns=(
                Turn(user=f"a room in {city} please", actions=frozenset(["search"])),
                Turn(context={"results": records}, actions=frozenset(["offer"]), system=f"hotel {city}?"),
                Turn(user=f"is hotel {city} far from {other}?", actions=frozenset(["search"])),
            ),
        )

    def encoded(entities, *dialogue):
        train = Corpus([talk("rome", "paris")], gazetteer=places)
        bits = (Bits(max_terms=50),)
        encoder = fit_turn_encoder(
            train,
            ActionSpace(["search", "offer"]),
            EncoderSettings(user=bits, system=(), context=(), entities=entities),
        )
        return features(talk(*dialogue), encoder)[[0, 2]]

    np.testing.assert_array_equal(encoded(True, "new hanoi", "rome"), encoded(True, "rome", "paris"))
    assert (encoded(False, "new hanoi", "rome") != encoded(False, "rome", "paris")).any()


def test_what_the_dialogue_said_of_entities_is_known():
    tracker = EntityTracker({"city": ("rome",)})
    assert tracker.observe_user("hello", {}) == "hello"
    assert tracker.facts() == frozenset()
    assert tracker.observe_user("In Rome, please", {"results": [{"name": "Lido"}]}) == "In _city_, please"
    assert tracker.facts() == {"city", "@next"}
    assert tracker.observe_system("How about Lido?") == "How about _name_?"
    assert tracker.facts() == {"city", "@hand", "@none"}


def test_an_empty_utterance_and_unknown_words_say_so(encoder):
    known, rare, nothing = encoder.encode("user", ["cheap food", "number3 food", ""])
    assert known[:2].tolist() == [0, 0]
    assert rare[:2].tolist() == [0, 0.5], (
        "a word that training has once counts as unknown, else the feature is never seen"
    )
    assert nothing[:2].tolist() == [1, 0]


def test_saved_parts_give_the_same_encoder(encoder):
    described, arrays = encoder.to_parts()
    again = TurnEncoder.from_parts(described, arrays, encoder.actions)
    dialogue = next(iter(TRAIN))
    np.testing.assert_array_equal(features(dialogue, again), features(dialogue, encoder))
    assert again.layout == encoder.layout


def test_unknown_actions_none_and_the_start_are_three_things(encoder):
    unknown, nothing, start = encoder.encode_actions([None, frozenset(), START])
    assert len({row.tobytes() for row in (unknown, nothing, start)}) == 3
    first = Turn(user="hello", actions=None, system="north")
    rows = [
        features(Dialogue(id="d", turns=(Turn(user="hello", actions=actions, system="north"), first)), encoder)[1]
        for actions in (None, frozenset())
    ]
    assert (rows[0] != rows[1]).any()


@pytest.mark.parametrize("number", [10**400, -(10**400), 10**5_000, 10**30, float("nan"), float("inf")], ids=range(6))
def test_any_number_may_stand_in_a_context(encoder, number):
    dialogue = Dialogue(id="d", turns=(Turn(context={"slots": {"n": [number]}}, actions=frozenset(["ask"])),))
    assert np.isfinite(features(dialogue, encoder)).all()


def test_a_corpus_without_any_text_is_encoded_by_its_contexts():
    """Bots with an understanding of their own log intents and slots, and no words."""
    turns = [Turn(context={"intent": intent}, actions=frozenset(["ask"])) for intent in ("greet", "inform", "bye")]
    corpus = Corpus(Dialogue(id=str(number), turns=tuple(turns)) for number in range(4))
    for word_encoder in (None, Word2Vec(dim=4), FastText(dim=4), Embedding(dim=4)):
        words = {} if word_encoder is None else {"user": (word_encoder,), "system": (word_encoder,)}
        encoder = fit_turn_encoder(corpus, ActionSpace(["ask"]), EncoderSettings(**words))
        rows = encode_dialogues(corpus, encoder).features(np.arange(3))
        assert np.isfinite(rows).all()
        assert len({row.tobytes() for row in rows}) == 3


ONES = np.ones((3, 2))


@pytest.mark.parametrize(
    ("x", "y", "match"),
    [
        (np.where(np.eye(3, 2), np.nan, 1), ONES, "as features, found nan in dialogue 1, turn 0, column 0"),
        (np.where(np.eye(3, 2), np.inf, 1), ONES, "as features, found inf in dialogue 1, turn 0"),
        (np.where(np.eye(3, 2), 1e300, 1), ONES, "as features, found inf in dialogue 1, turn 0"),
        (ONES, np.where(np.eye(3, 2), np.nan, 1), "as targets, found nan in dialogue 1, turn 0"),
        (np.ones((3, 5)), ONES, r"features of shape \(turns, n\).*\(3, 5\) in dialogue 1"),
        (np.ones(3), ONES, r"found \(3,\) in dialogue 1"),
        (np.ones((4, 2)), ONES, "one row of each a turn"),
    ],
)
def test_arrays_that_nothing_can_be_learnt_from_are_refused(x, y, match):
    with pytest.raises(OptionError, match=match):
        EncodedDialogues.from_arrays([ONES, x], [ONES, y])


@pytest.mark.parametrize(
    ("targets", "is_target", "message"),
    [
        (
            [[0], [7]],
            None,
            "expected targets from 0 to 1, found 7 in dialogue 1, turn 1, column 0. .*ActionSpace.transform",
        ),
        ([1, 2], None, r"targets of shape \(turns, n_actions\), found \(2,\) in dialogue 1.*numpy.eye\(n_actions\)"),
        ([[0], [1]], [[True], [False]], r"is_target as an array of shape \(turns,\) .*shape \(2, 1\) in dialogue 1"),
        ([[0], [1]], [0.5, 1], "is_target .*other values in dialogue 1"),
    ],
)
def test_targets_are_bits_and_say_which_turns_count(targets, is_target, message):
    goals = None if is_target is None else [[True, True], is_target]
    with pytest.raises(OptionError, match=message):
        EncodedDialogues.from_arrays([np.ones((2, 3))] * 2, [np.ones((2, 1)), np.array(targets)], goals)
