"""Words that users say for a value of the gazetteer are learnt from what the system makes of them."""

from dialog_policy import Corpus, Dialogue, Turn
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.written_forms import with_written_forms

GAZETTEER = {"price": ("cheap", "moderate"), "food": ("steakhouse", "thai"), "name": ("Moderation",)}


def search(number, user, said):
    turn = Turn(user=user, actions=frozenset(["search"]), system=said)
    return Dialogue(id=str(number), turns=(turn,))


def learnt(*pairs):
    corpus = Corpus([search(n, user, said) for n, (user, said) in enumerate(pairs)], gazetteer=GAZETTEER)
    forms = with_written_forms(corpus).gazetteer
    return {kind: entries[len(GAZETTEER[kind]) :] for kind, entries in forms.items()}


def test_words_like_a_value_after_which_the_system_says_it_are_a_way_to_write_it():
    said = [("something moderately priced", "search moderate"), ("moderately priced thai", "search thai moderate")]
    assert learnt(*said) == {"price": (("moderately", "moderate"),), "food": (), "name": ()}
    assert learnt(("a steak house", "search steakhouse"), ("any steak house?", "search steakhouse"))["food"] == (
        ("steak house", "steakhouse"),
    )


def test_words_said_once_or_mostly_without_the_value_or_unlike_it_are_none():
    assert learnt(("moderately priced", "search moderate"))["price"] == ()
    seldom = [("moderately priced", "search moderate")] * 2 + [("moderately priced", "search cheap")] * 7
    assert learnt(*seldom)["price"] == ()
    assert learnt(*[("not too dear", "search moderate")] * 5)["price"] == ()
    assert learnt(*[("moderately priced", "Moderation is moderate")] * 5)["price"] == (), "the record's price"


def test_a_value_written_otherwise_is_the_value():
    corpus = Corpus([search(n, "moderately priced", "search moderate") for n in range(2)], gazetteer=GAZETTEER)
    tracker = EntityTracker(with_written_forms(corpus).gazetteer)
    assert tracker.observe_user("a Moderately priced place", {}) == "a _price_ priced place"
    assert tracker.fill("search <price>") == "search moderate"
    assert with_written_forms(Corpus([search(0, "a", "b")])).gazetteer == {}
