"""Rasa 1's Markdown as dialogues."""

import pytest

from dialog_policy.corpus.readers import load_corpus, open_corpus
from dialog_policy.errors import CorpusError, CorpusWarning

DOMAIN = """
intents: [greet, {inform: {use_entities: [area]}}, bye]
slots: {area: {type: text}, status: {type: text}}
actions: [utter_ask, utter_offer, utter_bye, table_form]
templates:
  utter_ask: [{text: Which area?}]
  utter_bye: [{text: Bye!}]
"""


def project(folder, stories, domain=DOMAIN, **files):
    folder.mkdir(exist_ok=True)
    (folder / "domain.yml").write_text(domain)
    (folder / "stories.md").write_text(stories)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def turns(dialogue):
    return [(turn.user, dict(turn.context), set(turn.actions), turn.system) for turn in dialogue.turns]


def test_intents_entities_slots_and_forms(tmp_path):
    stories = """
## happy <!-- a comment -->
* greet
  - utter_ask
* inform{"area": "north", "guests": "2"}
  - slot{"status": "one"}
  - utter_offer
  - utter_ask
* inform: in the [south](area)
  - table_form
  - form{"name": "table_form"}
  - form{"name": null}
  - action_listen
* bye
  - utter_bye
"""
    (dialogue,) = load_corpus(project(tmp_path, stories), reader={"labels": "set"})
    slots = {"area": "north", "status": "one"}
    assert turns(dialogue) == [
        ("greet", {}, {"utter_ask"}, "Which area?"),
        (
            "inform",
            {"entities": {"area": "north", "guests": "2"}, "slots": slots, "slot_was_set": {"status": "one"}},
            {"utter_offer", "utter_ask"},
            "Which area?",
        ),
        (
            "in the south",
            {"entities": {"area": "south"}, "slots": {**slots, "area": "south"}},
            {"table_form"},
            "",
        ),
        ("bye", {"slots": {**slots, "area": "south"}, "active_loop": None}, {"utter_bye"}, "Bye!"),
    ]
    single = load_corpus(tmp_path)
    assert [len(d) for d in single] == [5]


def test_checkpoints_join_and_alternatives_all_occur(tmp_path):
    stories = "## a\n* greet OR bye\n - utter_ask\n> asked\n\n## b\n> asked\n* inform\n - utter_bye\n"
    texts = [[turn.user for turn in d.turns] for d in load_corpus(project(tmp_path, stories))]
    assert sorted(texts) == [["bye", "inform"], ["greet", "inform"]]


def test_an_end_to_end_story_maps_texts_to_acts(tmp_path):
    # The second search finds as little as the first: the slot stays as it is, and that it was set is news again.
    stories = (
        '## s\n* I want food OR drinks .\n   - slot{"status": "NA"}\n   - None left. Which area?\n'
        '* north\n   - slot{"status": "NA"}\n   - None left. Which area?\n* oh\n   - Bye, then\n'
    )
    acts = '{"None left. Which area?": ["nooffer", "request"], "Bye, then": ["bye"]}'
    folder = project(tmp_path, stories, "slots:\n- status\nactions:\n- Bye, then\n", action_map__json=acts)
    (dialogue,) = load_corpus(folder)
    found = {"slots": {"status": "NA"}, "slot_was_set": {"status": "NA"}}
    assert turns(dialogue) == [
        ("I want food OR drinks .", found, {"nooffer", "request"}, "None left. Which area?"),
        ("north", found, {"nooffer", "request"}, "None left. Which area?"),
        ("oh", {"slots": {"status": "NA"}}, {"bye"}, "Bye, then"),
    ]


def test_several_projects_are_refused_until_one_is_named(tmp_path):
    for name in ("one", "two"):
        project(tmp_path / name, f"## {name}\n* greet\n - utter_bye\n")
    with pytest.raises(CorpusError, match=r"found 2: one, two\. Choose one: --reader folder=one"):
        load_corpus(tmp_path)
    assert [d.id for d in load_corpus(tmp_path, reader={"folder": "two"})] == ["two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("* inofrm{}", r"line 3.*no intent 'inofrm'.*Did you mean 'inform'"),
        ('* inform{"area" "x"}', r"line 3.*expected {\"name\": \"value\"}"),
        ("utter_bye", r"line 3.*expected '\* what the user said'"),
        ("- slot{status}", r"line 3.*expected {"),
    ],
)
def test_faults_are_named_with_their_line(tmp_path, line, message):
    with pytest.raises(CorpusError, match=message):
        load_corpus(project(tmp_path, f"## s\n* greet\n{line}\n - utter_bye\n"))


def test_a_step_before_the_first_story_is_refused(tmp_path):
    project(tmp_path, "* bye\n## s\n* greet\n - utter_bye\n")
    with pytest.raises(CorpusError, match=r"line 1.*before its first step"):
        load_corpus(tmp_path)


def test_examples_of_intents_are_no_stories(tmp_path):
    (tmp_path / "nlu.md").write_text("## intent:greet\n- hello\n- hi\n")
    with pytest.raises(CorpusError, match="not recognised"):
        load_corpus(tmp_path)


@pytest.mark.parametrize(
    ("variant", "acts", "sets"),
    [("e2e", 44, 265), ("e2e-status", 44, 265), ("modular", 48, 286), ("modular-status", 48, 286)],
)
def test_the_stories_of_the_ted_paper(public_corpora, variant, acts, sets):
    corpus = load_corpus(public_corpora("ted-paper.zip"), reader={"folder": variant, "labels": "set"})
    gold = {turn.actions for dialogue in corpus for turn in dialogue.turns if turn.is_target}
    assert (len(corpus), corpus.n_targets, len(frozenset().union(*gold)), len(gold)) == (740, 5389, acts, sets)


def test_names_that_the_domain_lacks_are_named_and_texts_are_none(tmp_path):
    stories = """
## misspelt
* gret
  - utter_aks
  - slot{"statu": "one"}
* what a nice day it is
  - I am glad to hear that.
* bye
  - utter_ask
  - utter_offer
  - utter_bye
  - table_form
"""
    domain = DOMAIN + "entities: [area]\n"
    with pytest.warns(CorpusWarning):
        load_corpus(project(tmp_path, stories, domain))
    texts = list(open_corpus(tmp_path).problems())
    assert [(p.check, p.remedy) for p in texts if p.level == "error"] == [
        ("undeclared-action", "Did you mean 'utter_ask'?"),
        ("undeclared-intent", "Did you mean 'greet'?"),
        ("undeclared-slot", "Did you mean 'status'?"),
    ]
    assert [p.message for p in texts if p.check == "unused-intent"] == [
        "2 intents of the domain occur in no story or rule: 'greet', 'inform'"
    ]


def test_a_misspelt_folder_is_told_the_folders(tmp_path):
    tmp_path.joinpath("all").mkdir()
    for name in ("e2e", "e2e-status"):
        project(tmp_path / "all" / name, "## s\n* greet\n- utter_ask\n")
    with pytest.raises(CorpusError, match=r"no folder 'e2e-statu'; .*: e2e, e2e-status\. Did you mean 'e2e-status'"):
        load_corpus(tmp_path / "all", reader={"folder": "e2e-statu"})
