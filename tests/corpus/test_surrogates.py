"""Half a surrogate pair is named where JSON is refused for it, and nothing else is."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_policy.corpus.readers import load_corpus
from dialog_policy.corpus.surrogates import json_problem
from dialog_policy.errors import CorpusError


@given(st.text(st.sampled_from('a\\"u\ud83d\ude00\U0001f600'), max_size=8))
def test_only_json_with_half_a_pair_is_refused(text):
    content = json.dumps({"user": text})
    if any(0xD800 <= ord(c) < 0xE000 for c in json.loads(content)["user"]):
        with pytest.raises(msgspec.DecodeError) as refused:
            msgspec.json.decode(content)
        for given_as in (content, content.encode()):
            assert "half of a surrogate pair" in json_problem(refused.value, given_as)
    else:
        assert msgspec.json.decode(content) == json.loads(content)


@pytest.mark.parametrize("content", ['{"a": "\\ud83d\\ude00', '{"a": "\\\\ud83d', "{"])
def test_other_mistakes_keep_their_message(content):
    with pytest.raises(msgspec.DecodeError) as refused:
        msgspec.json.decode(content)
    assert json_problem(refused.value, content) == str(refused.value)


def test_a_line_of_a_corpus_with_half_a_pair(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "d", "turns": [{"user": "\\ud83d", "actions": ["a"]}]}\n')
    with pytest.raises(CorpusError, match=r"line 1: expected a JSON object; found: a text has \\ud83d, which is half"):
        load_corpus(tmp_path / "c.jsonl", format="jsonl")
