import json

import pytest
from click.testing import CliRunner

from dialog_policy.cli import main
from dialog_policy.corpus.readers import load_corpus


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat") / "run"
    trained.save(folder)
    return folder


def chat(run, *lines):
    result = CliRunner().invoke(main, ["chat", str(run)], input="".join(f"{line}\n" for line in lines))
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    return result.output


def test_what_is_shown_is_what_a_session_says(run, trained):
    shown = chat(run, "i want a table", '/context {"results": [{"name": "Oak"}]}', "/turn")
    session = trained.runtime_.start()
    for step in (session.respond("i want a table"), session.respond(None, {"results": [{"name": "Oak"}]})):
        assert step.text in shown
        assert f"confidence {step.confidence:.2f}" in shown
        for action in step.actions:
            assert f"{action} {step.probabilities[action]:.2f}" in shown


def test_corrected_conversations_become_a_corpus(run, tmp_path):
    file = tmp_path / "mine.jsonl"
    lines = ["i want a table", "/correct greet request_day", "/say Hi! When?", "monday", "/correct", "no", "/undo"]
    chat(run, *lines, f"/save {file}", f"/save {file}", "/new", "bye", "/correct bye", f"/save {file}")
    first, second = load_corpus(file)
    assert [turn.user for turn in first.turns] == ["i want a table", "monday"]
    assert [turn.actions for turn in first.turns] == [{"greet", "request_day"}, frozenset()]
    assert first.turns[0].system == "Hi! When?"
    assert [(turn.user, turn.actions) for turn in second.turns] == [("bye", {"bye"})]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/corect bye", "Did you mean 'correct'"),
        ("/correct bye", "no turn yet"),
        ("/undo", "to undo"),
        ("/undo all", "expected a number"),
        ("/context [1]", "JSON object"),
        ("/context {", "JSON object"),
        ("/save", "expected /save FILE"),
        ("/save x.jsonl", "nothing to save"),
        ("/new now", "takes nothing"),
        ("/correct 'a", "quotation"),
    ],
)
def test_a_mistake_is_told_and_the_conversation_goes_on(run, line, message):
    shown = chat(run, line, "hello")
    assert message in shown
    assert "confidence" in shown


def test_an_unknown_action_changes_nothing(run):
    shown = chat(run, "hello", "/correct by")
    assert "Did you mean 'bye'" in shown


def test_help_lists_every_command_and_quit_ends(run):
    shown = chat(run, "/help", "/quit", "hello")
    assert "/correct [ACTION …]" in shown
    assert "confidence" not in shown


def test_an_unsure_decision_is_marked(run, trained, tmp_path):
    shown = chat(run, "hello")
    assert ("unsure" in shown) == trained.runtime_.start().respond("hello").fallback


def test_colours_only_where_they_are_wanted(run, monkeypatch):
    def colourful():
        return "\x1b[" in CliRunner().invoke(main, ["chat", str(run)], input="hello\n", color=True).output

    assert colourful()
    monkeypatch.setenv("NO_COLOR", "1")
    assert not colourful()


def test_an_existing_corpus_in_another_format_is_not_damaged(run, tmp_path):
    file = tmp_path / "other.jsonl"
    file.write_text(json.dumps({"no": "dialogue"}))
    assert "Error" in chat(run, "hello", f"/save {file}")
    assert file.read_text() == json.dumps({"no": "dialogue"})
