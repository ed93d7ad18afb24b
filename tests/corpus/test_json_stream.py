"""The values of a JSON array or object, however the file falls into chunks."""

import io
import json
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialog_policy.corpus.readers import json_stream
from dialog_policy.corpus.readers.json_stream import values

TEXT = st.text() | st.sampled_from(['"', "\\", '\\"', "[", "]}", '{"', "\\\\", "\n"])
INNER = st.recursive(st.none() | st.integers() | TEXT, lambda v: st.lists(v) | st.dictionaries(TEXT, v), max_leaves=8)
VALUES = st.lists(INNER, max_size=4) | st.dictionaries(TEXT, INNER, max_size=3)


def read(content, opening=b"[", mark=b""):
    return list(values(io.BytesIO(mark + content), opening))


@settings(deadline=None)
@given(
    st.lists(VALUES, max_size=4) | st.dictionaries(TEXT, VALUES, max_size=4),
    st.integers(1, 40),
    st.booleans(),
    st.sampled_from([None, 1]),
    st.sampled_from([b"", b"\xef\xbb\xbf", b" \r\n\t"]),
)
def test_every_value_is_found_whatever_the_chunks(document, chunk, ascii_only, indent, head):
    content = json.dumps(document, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_CHUNK", chunk)
        patch.setattr(json_stream, "_LONGEST_GAP", 1 << 20)
        pairs = read(content, content[:1], head)
    decoded = [json.loads(value) for _, value in pairs]
    if isinstance(document, dict):
        assert dict(zip((json.loads(name) for name, _ in pairs), decoded, strict=True)) == document
    else:
        assert decoded == document


@pytest.mark.parametrize(
    "content",
    [
        "",
        " ",
        "]",
        "[",
        "[1]",
        "[{},]",
        "[,{}]",
        "[{} {}]",
        "[{}",
        "[{}}",
        "[{}]]",
        "[{}]{}",
        "[{}] x",
        "{}",
        '["a',
        "[[]",
    ],
)
def test_what_is_no_array_of_arrays_and_objects_is_refused(content):
    with pytest.raises(ValueError, match=r"found|ends"):
        read(content.encode())


@pytest.mark.parametrize("content", ["[]", '{"a": 1}', '{"a" {}}', '{"a": {} "b": {}}', '{"a": {}, {}}', '{"a": {},}'])
def test_what_is_no_object_of_arrays_and_objects_is_refused(content):
    with pytest.raises(ValueError, match="found"):
        read(content.encode(), b"{")


@pytest.mark.parametrize("content", [b"[" * (1 << 20) + b"]" * (1 << 20), b'["' + b"x" * (1 << 24), b"x" * (1 << 24)])
def test_a_hostile_file_costs_memory_in_proportion(content):
    file = io.BytesIO(content)
    tracemalloc.start()
    try:
        for _ in values(file, b"["):
            pass
    except ValueError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 << 20
