import json
import os
import signal
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner

from dialog_policy.cli import main
from dialog_policy.corpus.readers import load_corpus


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chat") / "run"
    trained.save(folder)
    return folder


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """Where conversations are kept."""
    monkeypatch.setenv("DIALOG_POLICY_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "chat"


def chat(run, *lines, **options):
    result = CliRunner().invoke(main, ["chat", str(run)], input="".join(f"{line}\n" for line in lines), **options)
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
        ("/undo", "there is no turn to undo yet"),
        ("/restore", "no conversation that was not saved"),
        ("/discard", "no conversation to discard"),
        ("/undo all", "expected a number"),
        ("/context [1]", "JSON object"),
        ("/context {", "JSON object"),
        ("/save", "expected /save FILE"),
        ("/save x.jsonl", "nothing to save"),
        ("/new now", "takes no argument"),
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


def kept(folder):
    return sorted(path for path in folder.glob("*.json")) if folder.exists() else []


def test_what_was_not_saved_is_offered_again_and_goes_on(run, state):
    said = chat(run, "i want a table", "/correct greet", '/context {"results": [{"name": "Oak"}]}')
    assert "the next chat with this run offers it" in said
    (file,) = kept(state)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = chat(run, "/restore", "/turn", "/quit")
    assert "was not saved; it has 1 turn" in again
    assert "you> i want a table" in again
    assert "turn 1, confidence" in again
    assert kept(state) == [file]
    assert json.loads(file.read_text())["turns"] == 2


def test_what_is_saved_or_dropped_is_not_offered_again(run, state, tmp_path):
    chat(run, "hello")
    assert "The conversation was added to" in chat(run, "/restore", f"/save {tmp_path / 'mine.jsonl'}")
    assert kept(state) == []
    chat(run, "hello")
    assert "This is a new one" in chat(run, "bye", "/discard", "/discard")
    assert kept(state) == []
    assert "was not saved" not in chat(run, "hello", "/undo")
    assert kept(state) == []


def test_a_new_conversation_does_not_lose_the_last_one(run, state):
    said = chat(run, "hello", "/new", "bye", "/new", "/restore", "/quit")
    assert "/restore brings it back" in said
    assert "you> bye" in said, "the newest"
    assert len(kept(state)) == 2
    assert "There are 2 conversations" in chat(run)


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_a_killed_chat_loses_nothing_and_a_living_one_is_not_offered(run, state, tmp_path, name):
    program = "from dialog_policy.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "chat", str(run)], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        process.stdin.write("i want a table\n")
        process.stdin.flush()
        while "confidence" not in process.stdout.readline():
            assert process.poll() is None
        assert "was not saved" not in chat(run), "it is still going on"
        process.send_signal(getattr(signal, name))
    assert "it has 1 turn" in chat(run)
    chat(run, "/restore", f"/save {tmp_path / 'mine.jsonl'}")
    (dialogue,) = load_corpus(tmp_path / "mine.jsonl")
    assert dialogue.turns[0].user == "i want a table"


def test_only_so_many_conversations_are_kept(run, state):
    lines = [line for number in range(25) for line in (f"hello {number}", "/new")]
    chat(run, *lines)
    assert len(kept(state)) == 20
    assert "you> hello 24" in chat(run, "/restore")


def test_where_nothing_can_be_kept_the_chat_goes_on_and_says_so(run, state, monkeypatch):
    state.parent.parent.mkdir(exist_ok=True)
    state.parent.write_text("a file where a folder is wanted")
    said = chat(run, "hello", "bye")
    assert said.count("cannot be kept") == 1
    assert said.count("confidence") == 2
    assert "This conversation was not saved." in said
    monkeypatch.setenv("DIALOG_POLICY_STATE", "")
    assert "This conversation was not saved." in chat(run, "hello")


def test_a_save_that_fails_loses_nothing_and_ends_nothing(run, tmp_path):
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "file").write_text("not a folder")
    places = [tmp_path / "folder.jsonl", tmp_path / "file" / "mine.jsonl", "a\0b.jsonl", "mine.pdf"]
    if os.geteuid():
        (tmp_path / "locked").mkdir(mode=0o500)
        places.append(tmp_path / "locked" / "mine.jsonl")
    good = tmp_path / "good.jsonl"
    said = chat(run, "hello", *(f"/save {place}" for place in places), "bye", f"/save {good}")
    assert said.count("The conversation is not lost") == len(places)
    (dialogue,) = load_corpus(good)
    assert [turn.user for turn in dialogue.turns] == ["hello", "bye"]


def test_saving_onto_a_sheet_keeps_every_byte_of_it(run, tmp_path):
    sheet = tmp_path / "notes.csv"
    before = "\ufeffdialogue_id;user;actions;system;note\r\n1;hello;greet;Hi!;mine\r\n".encode()
    sheet.write_bytes(before)
    said = chat(run, "i want a table", "/correct greet", f"/save '{sheet}'")
    assert "The conversation was added to" in said
    after = sheet.read_bytes()
    assert after.startswith(before)
    assert b"i want a table" in after[len(before) :]
    assert [len(dialogue) for dialogue in load_corpus(sheet)] == [1, 1]


def test_escape_codes_are_shown_and_not_obeyed(run, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    evil = "\\u001b]0;owned\\u0007\\u202e"
    said = chat(run, "hello", f'/context {{"results": [{{"name": "{evil}"}}]}}', "/turn", f"/say {chr(27)}[2J",
                f"/x{chr(27)}[2J", f"/save {chr(27)}[2J.pdf", color=True)  # fmt: skip
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "\u202e" not in said
    assert "\\x1b[2J" in said


def test_a_line_that_is_not_text_does_not_end_the_chat(run):
    result = CliRunner().invoke(main, ["chat", str(run)], input=b"\xff\xfe\nhello\n")
    assert result.exit_code == 0
    assert result.output.count("confidence") == 2
