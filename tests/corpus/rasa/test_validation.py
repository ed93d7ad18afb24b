"""What `rasa data validate` finds, `validate` finds; and no story is lost without a word."""

import warnings

import pytest
import yaml

from dialog_policy.corpus.readers import load_corpus, open_corpus
from dialog_policy.errors import CorpusError, CorpusWarning
from tests.cli.commands import run
from tests.corpus.rasa.projects import put, read

DOMAIN = """
intents: [greet, bye, {faq: {use_entities: true}}, faq/hours]
entities: [{city: {roles: [from]}}]
slots: {name: {type: text}}
forms: {book_form: {required_slots: [name]}}
actions: [action_play]
responses:
  utter_hello: [{text: Hi!}]
  utter_bye: [{text: Bye!}]
  utter_faq/hours: [{text: Nine to five.}]
"""
NLU = "nlu:\n" + "".join(f"- intent: {name}\n  examples: |\n    - {name} 1\n" for name in ("greet", "bye", "faq/hours"))
GOOD = (
    {"intent": "greet", "entities": [{"city": "Rome", "role": "from"}]},
    {"slot_was_set": [{"name": "Ann"}]},
    {"action": "utter_hello"},
    {"intent": "faq"},
    {"action": "utter_faq"},
    {"action": "book_form"},
    {"active_loop": "book_form"},
    {"action": "action_play"},
    {"intent": "bye"},
    {"action": "utter_bye"},
)


def story(*steps, name="s"):
    return {"story": name, "steps": list(steps)}


def stories(*items):
    """As people write it: a line for each step."""
    return yaml.safe_dump({"stories": list(items)}, sort_keys=False)


def problems(folder, *steps, domain=DOMAIN, nlu=NLU, others=(), **files):
    put(folder, domain=domain, nlu=nlu, s=stories(story(*GOOD, name="good"), story(*steps, name="s"), *others), **files)
    return list(open_corpus(folder, format="rasa").problems())


def test_a_good_project_has_no_problems(tmp_path):
    assert problems(tmp_path, {"intent": "bye"}, {"action": "utter_bye"}) == []


UNDECLARED = {
    "action": (
        "error",
        {"action": "utter_helo"},
        "The domain has no action 'utter_helo'",
        "Did you mean 'utter_hello'?",
    ),
    "intent": ("error", {"intent": "gret"}, "The domain has no intent 'gret'", "Did you mean 'greet'?"),
    "slot": ("error", {"slot_was_set": [{"nam": 1}]}, "The domain has no slot 'nam'", "Did you mean 'name'?"),
    "form": ("error", {"active_loop": "book_from"}, "The domain has no form 'book_from'", "Did you mean 'book_form'?"),
    "entity": (
        "warning",
        {"intent": "bye", "entities": [{"zzz": 1}]},
        "The domain has no entity 'zzz'",
        "Declare it under 'entities' in the domain, or correct the story.",
    ),
}


@pytest.mark.parametrize("kind", UNDECLARED)
def test_a_name_that_the_domain_lacks(tmp_path, kind):
    level, step, message, remedy = UNDECLARED[kind]
    (problem,) = (
        problems(tmp_path, {"intent": "bye"}, step, {"action": "utter_bye"})
        if kind != "action"
        else problems(tmp_path, {"intent": "faq"}, step)
    )
    assert (problem.level, problem.check, problem.message, problem.remedy) == (
        level, f"undeclared-{kind}", message, remedy
    )  # fmt: skip
    assert (problem.places[0].dialogue, problem.places[0].file) == ("s", str(tmp_path / "s.yml"))
    # Reading goes on, and says it.
    with pytest.warns(CorpusWarning, match=message):
        assert len(load_corpus(tmp_path)) == 2


def test_names_that_nothing_uses_are_notes(tmp_path):
    domain = DOMAIN.replace("[greet,", "[thanks, greet,").replace("[action_play]", "[action_play, action_old]")
    domain = domain.replace("book_form: {", "old_form: {}, book_form: {") + "  utter_old: [{text: x}]\n"
    listed = problems(tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, domain=domain)
    assert {p.check: p.level for p in listed} == {
        f"unused-{kind}": "note" for kind in ("intent", "response", "action", "form")
    }
    assert listed[0].message == "1 intent of the domain occurs in no story or rule: 'thanks'"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path)


def test_names_that_would_be_learnt_as_text(tmp_path):
    domain = DOMAIN.replace("[greet,", "[thanks, greet,").replace("[action_play]", "[action_play, utter_x]")
    listed = problems(tmp_path, {"intent": "thanks"}, {"action": "utter_x"}, domain=domain)
    assert [(p.level, p.check, p.message) for p in listed] == [
        ("warning", "no-examples", "The intent 'thanks' has no example under 'nlu', so its name stands for what the user says"),
        ("warning", "no-response", "The action 'utter_x' has no text under 'responses'"),
    ]  # fmt: skip
    (problem,) = problems(
        tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, nlu=NLU + "- intent: byee\n  examples: [x]\n"
    )
    assert str(problem) == "The intent 'byee' has examples, and the domain does not have it. Did you mean 'bye'?"


def test_stories_in_conflict(tmp_path):
    other = story({"intent": "bye"}, {"action": "utter_hello"}, name="other")
    (problem,) = problems(tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, others=[other], nlu=NLU)
    assert problem.check == "conflict"
    assert (
        problem.message
        == "Stories conflict: after 'bye' and the same events before it, one story goes on with 'utter_bye' and another with 'utter_hello'"
    )
    assert [(place.dialogue, place.turn) for place in problem.places] == [("s", 0), ("other", 0)]


def test_stories_in_conflict_after_an_action_name_it(tmp_path):
    begin = ({"intent": "bye"}, {"action": "utter_bye"})
    other = story(*begin, {"action": "utter_hello"}, name="other")
    (problem,) = problems(tmp_path, *begin, {"action": "action_play"}, others=[other])
    assert "after 'utter_bye' and the same events before it, one story goes on with 'action_play'" in problem.message


def test_without_a_domain_names_are_not_checked_and_that_is_said(tmp_path):
    put(tmp_path, s=stories(story(*GOOD)))
    (problem,) = open_corpus(tmp_path).problems()
    assert (problem.level, problem.check) == ("note", "no-domain")


def test_keys_that_mean_nothing_and_files_that_are_no_yaml(tmp_path):
    listed = problems(
        tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, more="intent: [x]\nnlu: []\n", broken="actions: [}\n"
    )
    assert [(p.level, p.check, p.remedy) for p in listed] == [
        ("warning", "unknown-key", "Did you mean 'intents'?"),
        ("error", "unreadable", "Repair it and look again."),
    ]


LOST = {
    "storys": (
        lambda text: text.replace("stories:", "storys:"),
        r"above a story, found 'storys'\. Did you mean 'stories'",
    ),
    "step": (lambda text: text.replace("steps:", "step:"), r"found 'step'\. Did you mean 'steps'"),
    "none": (lambda text: text.replace("steps:", "metadata:"), "the story has no 'steps'"),
    "entitys": (lambda text: text.replace("entities:", "entitys:"), r"found 'entitys'\. Did you mean 'entities'"),
    "conditions": (
        lambda text: "rules:\n- {rule: r, conditions: [{active_loop: f}], steps: [{action: a}]}\n" + text,
        r"line 2, dialogue 'r': .*found 'conditions'\. Did you mean 'condition'",
    ),
}


LOST_EXAMPLES = {
    "nlus": (
        lambda nlu: nlu.replace("nlu:", "nlus:"),
        r"line 2: expected 'nlu:' above the examples of an intent, found 'nlus'\. Did you mean 'nlu'",
    ),
    "both": (
        lambda nlu: nlu + nlu.replace("nlu:", "extra:"),
        r"line 12: expected 'nlu:' above the examples of an intent, found 'extra'\.",
    ),
    "exampels": (
        lambda nlu: nlu.replace("examples:", "exampels:", 1),
        r"line 2: an item of 'nlu' has the keys .* found 'exampels'\. Did you mean 'examples'",
    ),
}


@pytest.mark.parametrize("name", LOST_EXAMPLES)
def test_no_example_is_lost_without_a_word(tmp_path, name):
    change, message = LOST_EXAMPLES[name]
    put(tmp_path, domain=DOMAIN, nlu=change(NLU), s=stories(story(*GOOD)))
    with pytest.raises(CorpusError, match=message):
        load_corpus(tmp_path)


def test_an_intent_with_an_empty_list_of_examples_has_none(tmp_path):
    nlu = NLU.replace("- intent: bye\n  examples: |\n    - bye 1\n", "- intent: bye\n  examples: []\n")
    listed = problems(tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, nlu=nlu)
    assert [(p.check, p.message[:16]) for p in listed] == [("no-examples", "The intent 'bye'")]


def test_a_story_whose_first_key_is_misspelt_is_told_the_key(tmp_path):
    put(tmp_path, s=stories(story(*GOOD)) + "- stroy: s\n  steps: []\n")
    with pytest.raises(CorpusError, match=r"expected 'story: NAME', found the keys .*Did you mean 'story'"):
        load_corpus(tmp_path)


@pytest.mark.parametrize("name", LOST)
def test_no_story_is_lost_without_a_word(tmp_path, name):
    change, message = LOST[name]
    put(tmp_path, s=change(stories(story(*GOOD), story({"intent": "bye"}, {"action": "utter_bye"}, name="t"))))
    with pytest.raises(CorpusError, match=message):
        load_corpus(tmp_path)
    shown = run("validate", tmp_path, code=1).output
    assert "error: Reading broke off" in shown


def test_validate_prints_and_counts_the_three_levels(tmp_path):
    domain = DOMAIN.replace("[greet,", "[thanks, greet,")
    put(
        tmp_path,
        domain=domain,
        nlu=NLU,
        s=stories(story(*GOOD), story({"intent": "gret"}, {"action": "utter_bye"}, name="t")),
    )
    shown = run("validate", tmp_path, code=1).output
    assert "error: The domain has no intent 'gret'" in shown
    assert "note: 1 intent of the domain occurs in no story or rule: 'thanks'" in shown
    assert "errors: 1, warnings: 1, notes: 1." in shown
    assert shown.index("error: ") < shown.index("warning: ") < shown.index("note: ")


def test_templates_are_responses(tmp_path):
    """Their name in Rasa 1 and in the first projects of Rasa 2."""
    domain = DOMAIN.replace("responses:", "templates:")
    assert problems(tmp_path, {"intent": "bye"}, {"action": "utter_bye"}, domain=domain) == []
