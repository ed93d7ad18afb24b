"""Hypothesis strategies for dialogues."""

from hypothesis import strategies as st

from dialog_policy.corpus import Corpus, Dialogue, Turn

ACTIONS = ("ask", "bye", "greet", "offer", "query")
_WORDS = ("hello", "cheap", "food", "north", "yes", "no", "please", "我", "要", "")

utterances = st.lists(st.sampled_from(_WORDS), max_size=5).map(" ".join)
contexts = st.just({}) | st.fixed_dictionaries(
    {"results": st.lists(st.just({"name": "x", "price": "cheap"}), max_size=4)}
)
action_sets = st.frozensets(st.sampled_from(ACTIONS), max_size=3)
turns = st.builds(Turn, user=utterances, context=contexts, actions=st.none() | action_sets, system=utterances)


def dialogues(min_size=1, max_size=9):
    """Dialogues of random length."""
    return st.lists(turns, min_size=min_size, max_size=max_size).map(lambda t: Dialogue(id="d", turns=tuple(t)))


def corpora(max_dialogues=8, max_turns=9):
    """Corpora with at least one target turn."""
    return (
        st.lists(st.lists(turns, min_size=1, max_size=max_turns), min_size=1, max_size=max_dialogues)
        .map(lambda many: Corpus(Dialogue(id=str(i), turns=tuple(t)) for i, t in enumerate(many)))
        .filter(lambda corpus: corpus.n_targets > 0)
    )
