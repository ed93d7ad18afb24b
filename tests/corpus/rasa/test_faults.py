"""Rasa's YAML with mistakes in it, and worse: it is read or refused with the place."""

import json
import random
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.readers.rasa import documents
from dialog_policy.errors import CorpusError, DialogPolicyError
from tests.corpus.rasa.projects import PROJECT, put, read

NESTED = "[" * 60 + "]" * 60
BOMB = "x:\n- &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"- &{name} [{', '.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stories:\n- story: s\n  steps:\n  - acton: x\n", "line 4, dialogue 's': .*Did you mean 'action'?"),
        ("stories:\n- story: s\n  steps:\n  - intent: x\n    action: y\n", "line 4.* 'user|intent' and 'action'"),
        ("stories:\n- story: s\n  steps:\n  - action: x\n    action: y\n", "line 5: the key 'action' occurs twice"),
        ("stories:\n- story: s\n  steps:\n  - action: 5\n", "line 4: expected a name after 'action:', found 5.*marks"),
        ("stories:\n- story: s\n  steps:\n  - bot:\n", "line 4: expected a name after 'bot:', found None"),
        ("stories:\n- story: s\n  steps:\n  - or: [action: x]\n", "line 4.*expected a list of 'intent: …'"),
        ("stories:\n- story: s\n  steps: no\n", "line 2.*expected a list under 'steps', found 'no'"),
        ("stories:\n- story: s\n  steps: [go]\n", "expected a step such as 'intent: greet', found 'go'"),
        ("stories:\n- story: s\n  steps: [{intent: x, entities: [5]}]\n", "under 'entities', found 5"),
        ("stories:\n- story: s\n  steps: [slot_was_set: [5]]\n", "under 'slot_was_set', found 5"),
        ("stories:\n- steps: []\n", "line 2: expected 'story: NAME', found the keys 'steps'"),
        ("stories: [5]\n", r"s\.yml: expected 'story: NAME' with 'steps', found 5"),
        ("stories:\n- story: s\n  steps: [{checkpoint: X}, {action: a}]\n", "line 2.*leads to its checkpoint 'X'"),
        ("nlu: [5]\nstories:\n- story: s\n", "expected 'intent: …' with examples under 'nlu', found 5"),
        ("nlu:\n- intent: a\n  examples: [5]\nstories: []\n", "line 2: expected a text as an example of 'a', found 5"),
        ("- story: s\n# stories:\nstories:\n", "line 1: expected a mapping such as 'stories:'"),
        ("stories:\n- story: s\n  steps: [}\n", "line 3: expected YAML"),
        (f"stories:\n- {NESTED}\n", "line 2: it is nested too deeply"),
        (f"{BOMB}stories: *i\n", "its aliases repeat more than 100,000 values; refused"),
        ("stories: *x\n", r"the alias \*x"),
        ("stories: &x\n- *x\n", r"the alias \*x"),
    ],
)
def test_faults_are_named(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        read(put(tmp_path, s=text))


def test_without_libyaml_the_same_is_read_and_half_a_character_refused(tmp_path, monkeypatch):
    put(tmp_path, s=PROJECT)
    whole = read(tmp_path)
    monkeypatch.setattr(documents, "_LOADER", yaml.SafeLoader)
    assert read(tmp_path) == whole
    with pytest.raises(CorpusError, match="line 2: it has half of a character"):
        read(put(tmp_path, s='stories:\n- story: "\\ud800"\n'))


PIECES = [
    "- ",
    "  ",
    ": ",
    "&a ",
    "*a",
    "!!python/object:os.system ",
    "[",
    "{",
    "|",
    "\n",
    "null",
    "1e99",
    "\u2028",
    "'",
]


@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32), changes=st.integers(1, 6), text=st.text(max_size=8))
def test_mutated_yaml_is_read_or_refused(seed, changes, text):
    chance = random.Random(seed)
    lines = PROJECT.splitlines(keepends=True)
    for _ in range(changes):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                lines[at] = ""
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                place = chance.randrange(len(lines[at]) + 1)
                lines[at] = lines[at][:place] + chance.choice([*PIECES, text]) + lines[at][place:]
            case 3:
                lines[at] = lines[at].replace(chance.choice("-: \n'\""), chance.choice(PIECES))
            case _:
                lines = lines[: at + 1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.yml"
        path.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        try:
            for dialogue in load_corpus(path, format="rasa"):
                dialogue.fingerprint()
        except DialogPolicyError as error:
            assert str(path) in str(error)  # noqa: PT017


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["story", "steps", "user", "bot", "or", "x"]), inner)
    ),
    max_leaves=6,
)
steps = st.dictionaries(
    st.sampled_from(["intent", "user", "bot", "action", "checkpoint", "slot_was_set", "active_loop", "or", "entities"]),
    values,
    max_size=2,
)
items = st.fixed_dictionaries(
    {"story": st.just("s") | values, "steps": st.lists(steps, max_size=5) | values},
    optional={"condition": values, "intent": values, "examples": values},
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["stories", "rules", "nlu", "responses"]), st.lists(items, max_size=4) | values))
def test_any_values_are_read_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())
        try:
            read(put(Path(folder), s=text))
        except DialogPolicyError as error:
            assert folder in str(error)  # noqa: PT017
