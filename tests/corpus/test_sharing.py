"""Loaded dialogues keep equal parts once, and are equal to what they were."""

import math

from hypothesis import given
from hypothesis import strategies as st

from dialog_policy import load_corpus
from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.sharing import Sharing
from dialog_policy.corpus.write import write_corpus

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
TURNS = st.builds(
    Turn,
    user=st.sampled_from(["", "a", "b"]),
    context=st.dictionaries(st.text(max_size=2), VALUES, max_size=3),
    actions=st.none() | st.frozensets(st.sampled_from("xyz")),
    system=st.sampled_from(["", "a", "c"]),
    reward=st.none() | st.floats(allow_nan=False),
)


@given(st.lists(st.lists(TURNS, max_size=4), max_size=4), st.integers(0, 6))
def test_what_is_shared_is_equal_also_in_its_types(dialogues, most):
    sharing = Sharing(most)
    for number, turns in enumerate(dialogues):
        dialogue = Dialogue(id=str(number), turns=tuple(turns), fields={"n": number % 2})
        shared = sharing.dialogue(dialogue)
        assert shared == dialogue
        contexts = [repr([turn.context for turn in each.turns]) for each in (shared, dialogue)]
        assert contexts[0] == contexts[1], "1 is not True, and 0.0 not -0.0"


def test_equal_parts_of_a_corpus_are_one(tmp_path):
    record = {"name": "Dr. Clark", "price": 85}
    turns = [
        Turn(user="so it is", context={"n": n, "results": [record]}, actions=frozenset("ab"), system="Hello.")
        for n in (1, 1, 2)
    ]
    write_corpus([Dialogue(id=str(n), turns=tuple(turns)) for n in range(2)], tmp_path / "c.jsonl")
    one, other = load_corpus(tmp_path / "c.jsonl")
    first, second, third = one.turns
    assert first.user is second.user is other.turns[0].user
    assert first.actions is other.turns[2].actions
    assert first.context is second.context is other.turns[0].context
    assert third.context is not first.context
    assert third.context["results"][0] is first.context["results"][0]


def test_what_json_has_not_is_kept_as_it_is():
    context = {"when": object(), "huge": 10**400, "nan": math.nan}
    shared = Sharing().dialogue(Dialogue(id="a", turns=(Turn(context=context),)))
    assert shared.turns[0].context is context
