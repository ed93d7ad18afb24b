"""Chat messages with calls of tools: every dialect that is in use."""

import json

import pytest

from dialog_policy import load_corpus
from dialog_policy.errors import CorpusError

OPENAI = [
    {"role": "system", "content": "You are an agent."},
    {"role": "user", "content": "Cancel my flight."},
    {"role": "assistant", "content": "Who are you?"},
    {"role": "user", "content": [{"type": "text", "text": "Mia"}, {"type": "image_url", "image_url": {"url": "x"}}]},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "get_user", "arguments": "{}"}},
            {"id": "b", "type": "function", "function": {"name": "get_flight", "arguments": "{}"}},
        ],
    },
    {"role": "tool", "tool_call_id": "b", "content": '{"flight": "HAT1"}'},
    {"role": "tool", "tool_call_id": "a", "content": "no such user"},
    {"role": "assistant", "content": "Sorry, I do not know you."},
    {"role": "user", "content": "Pity."},
]
ANTHROPIC = [
    {"role": "user", "content": "Cancel my flight."},
    {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "Let me look."},
            {"type": "tool_use", "id": "t", "name": "get_flight", "input": {}},
        ],
    },
    {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": '{"flight": "HAT1"}'}]}
        ],
    },
    {"role": "assistant", "content": "Done."},
]


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_calls_are_actions_and_what_they_return_is_context(tmp_path):
    (dialogue,) = load_corpus(write(tmp_path / "c.json", [{"id": "x", "messages": OPENAI}]))
    assert [(turn.user, turn.actions, turn.system, dict(turn.context)) for turn in dialogue.turns] == [
        ("Cancel my flight.", {"reply"}, "Who are you?", {}),
        ("Mia", {"get_user", "get_flight"}, "", {}),
        (
            "",
            {"reply"},
            "Sorry, I do not know you.",
            {"get_flight": {"flight": "HAT1"}, "get_user": "no such user"},
        ),
        ("Pity.", None, "", {}),
    ]


def test_content_blocks_are_read_alike(tmp_path):
    (dialogue,) = load_corpus(write(tmp_path / "c.json", [ANTHROPIC]))
    assert dialogue.id == "conversation-0"
    assert [(turn.user, turn.actions, turn.system, dict(turn.context)) for turn in dialogue.turns] == [
        ("Cancel my flight.", {"get_flight"}, "Let me look.", {}),
        ("", {"reply"}, "Done.", {"get_flight": {"flight": "HAT1"}}),
    ]


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        (["[1, 2]"], [1, 2]),
        (["[1, 2]", "[3]"], [[1, 2], [3]]),
        (['{"a": 1}', "[3]", "none"], [{"a": 1}, [3], "none"]),
    ],
)
def test_several_results_of_a_tool_are_a_list_of_them(tmp_path, results, expected):
    answers = [{"role": "tool", "name": "find", "content": content} for content in results]
    messages = [{"role": "user", "content": "hi"}, *answers, {"role": "assistant", "content": "done"}]
    (dialogue,) = load_corpus(write(tmp_path / "c.json", [{"id": "x", "messages": messages}]))
    assert dialogue.turns[0].context == {"find": expected}


def test_json_lines_and_trajectories_with_trials_and_rewards(tmp_path):
    lines = [{"task_id": 3, "trial": t, "reward": t / 2, "info": {"task": "secret"}, "traj": OPENAI} for t in range(2)]
    corpus = load_corpus(write(tmp_path / "train.jsonl", "\n".join(map(json.dumps, lines)) + "\n\n"))
    assert (corpus.format, [d.id for d in corpus]) == ("messages", ["3-0", "3-1"])
    assert [d.fields for d in corpus] == [{"reward": 0.0}, {"reward": 0.5}]
    assert {d.split for d in corpus} == {"train"}
    assert "secret" not in repr(list(corpus))


def test_what_a_tool_returns_several_times_in_a_row_is_a_list(tmp_path):
    call = {"function": {"name": "f"}, "id": "1"}
    messages = [{"role": "assistant", "tool_calls": [call]}]
    messages += [{"role": "tool", "name": "f", "content": n} for n in ('{"n": 1}', "two", "3")]
    messages += [{"role": "assistant", "content": "There."}]
    (dialogue,) = load_corpus(write(tmp_path / "c.json", [messages]))
    assert dialogue.turns[1].context == {"f": [{"n": 1}, "two", "3"]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "c.json",
            [{"messages": [{"role": "user", "content": "a"}, {"role": "robot"}]}],
            r"messages\[1\]\.role.*element 0",
        ),
        ("c.json", [OPENAI, {"note": {"role": "user"}}], "conversation 1 has neither"),
        ("c.jsonl", json.dumps({"messages": OPENAI}) + '\n{"messages": [{"role": "user"', "line 2"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, name, content, message):
    with pytest.raises(CorpusError, match=message):
        load_corpus(write(tmp_path / name, content))


def test_items_and_parts_of_the_responses_api(tmp_path):
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "weather, and news?"}]},
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "one moment"}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "news", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": '{"degrees": 3}'},
        {"type": "function_call_output", "call_id": "c2", "output": "none"},
        {"type": "function_call", "call_id": "c3", "name": "log", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c3", "output": "ok"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "I cannot say"}]},
    ]
    (dialogue,) = load_corpus(write(tmp_path / "c.jsonl", json.dumps(items)))
    assert [(t.user, dict(t.context), t.actions, t.system) for t in dialogue.turns] == [
        ("weather, and news?", {}, {"weather", "news"}, "one moment"),
        ("", {"weather": {"degrees": 3}, "news": "none"}, {"log"}, ""),
        ("", {"log": "ok"}, {"reply"}, "I cannot say"),
    ]
    with pytest.raises(CorpusError, match="conversation 0 has an item of the type 'web_search_call' without a role"):
        load_corpus(write(tmp_path / "d.jsonl", json.dumps([*items, {"type": "web_search_call"}])))


def test_a_file_may_be_one_conversation_and_ids_have_several_names(tmp_path):
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    for name, more in (("a", {}), ("b", {}), ("c", {"session_id": 7}), ("d", {"conversation_id": "x", "trial": 2})):
        write(tmp_path / f"{name}.json", json.dumps({"messages": messages, **more}))
    write(tmp_path / "e.json", json.dumps([messages]))
    ids = [dialogue.id for dialogue in load_corpus(tmp_path)]
    assert ids == ["a.json:conversation-0", "b.json:conversation-0", "7", "x", "e.json:conversation-0"]


def test_folders_and_numbered_files_are_parts(tmp_path):
    line = json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}])
    for name in ("train/a.jsonl", "test/a.jsonl"):
        (tmp_path / name).parent.mkdir()
        write(tmp_path / name, line)
    assert [dialogue.split for dialogue in load_corpus(tmp_path)] == ["test", "train"]
    # Beside dialogues in the native format they keep their own reader.
    write(tmp_path / "dev.jsonl", json.dumps({"id": "d", "turns": [{"user": "hi", "actions": ["reply"]}]}))
    assert {dialogue.split for dialogue in load_corpus(tmp_path)} == {"train", "dev", "test"}
