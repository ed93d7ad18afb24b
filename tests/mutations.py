"""What happens to files: functions that damage the bytes of a member, drawn by Hypothesis or by a seeded generator.

Each place is drawn as a large number and taken modulo what the content has, so that one draw serves contents of any size.
"""

import json
import random
from typing import Any

from hypothesis import strategies as st

__all__ = ["MUTATIONS", "damaged"]

# JSON that no corpus has, as raw text: some of it is not JSON at all.
HOSTILE = (
    *("null", "true", "0", "-1", '""', "[]", "{}", "[[]]", "[null]", '[{"": []}]', '{"": null}', '{"a": {"a": []}}'),
    *("1e999", "-1e999", "NaN", "-Infinity", "1e-999", "9" * 25, "9" * 5000, "0.1" + "1" * 400, "-0", "01", "1.5"),
    *('"\\ud800"', '"\\u0000"', '"\\udfff\\ud800"', '"\\x"', '"\u2028"', '"\ufeff"', "'x'", '"general"', '"none"'),
    *("[" * 2000, "[" * 2000 + "]" * 2000, '{"a":' * 2000 + "1" + "}" * 2000, "[" * 20_000 + "]" * 20_000),
    *(
        "\t",
        "|",
        "&a [*a, *a]",
        "- - - -",
        "\n\n",
        "\x00",
        "1 api_call",
        "t1:",
        "R_phone",
        "<SILENCE>\t",
        ",,,,,,,",
        '"',
    ),
)
ENCODINGS = ("utf-16", "utf-16-be", "utf-32", "utf-8-sig", "latin-1", "cp037", "utf-7")
PLACE = st.integers(0, 1 << 32)


def cut(content: bytes, start: int, end: int) -> bytes:
    start, end = sorted((start % (len(content) + 1), end % (len(content) + 1)))
    return content[start:end] if start % 3 == 0 else content[:end]


def flip(content: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(content or b" ")
    for at, value in changes:
        changed[at % len(changed)] = value
    return bytes(changed)


def shuffle_lines(content: bytes, seed: int) -> bytes:
    lines = content.splitlines(keepends=True)
    moved = random.Random(seed)
    if seed % 2:
        moved.shuffle(lines)
    elif lines:  # one is lost, one comes twice
        lines.insert(moved.randrange(len(lines)), lines.pop(moved.randrange(len(lines))))
        lines[moved.randrange(len(lines))] = lines[moved.randrange(len(lines))]
    return b"".join(lines)


def encode(content: bytes, encoding: str) -> bytes:
    return content.decode(errors="replace").replace("e", "é", 3).encode(encoding, "replace")


def insert(content: bytes, at: int, hostile: str) -> bytes:
    at %= len(content) + 1
    return content[:at] + hostile.encode() + content[at:]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Containers with a key or an index, in the order in which they stand."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in ((value, key), *_places(inner))]


def change_json(content: bytes, at: int, hostile: str) -> bytes:
    """Put `hostile` where a value was, in the content or in one line of it; content that is not JSON gets it in its text."""
    lines = content.split(b"\n")
    number = at % len(lines)
    try:
        changed = json.loads(content)
        head, tail = b"", b""
    except ValueError:
        try:
            changed = json.loads(lines[number])
        except ValueError:
            return insert(content, at, hostile)
        head, tail = b"\n".join([*lines[:number], b""]), b"\n".join([b"", *lines[number + 1 :]])
    places = _places(changed)
    if not places:
        return hostile.encode()
    container, key = places[at % len(places)]
    if hostile == "null" and at % 2 and isinstance(container, dict):
        del container[key]
        return head + json.dumps(changed).encode() + tail
    container[key] = "PUT IT HERE"
    return head + json.dumps(changed).replace('"PUT IT HERE"', hostile).encode() + tail


def shuffle_elements(content: bytes, at: int, hostile: str) -> bytes:
    """Shuffle one list of the JSON content."""
    try:
        changed = json.loads(content)
    except ValueError:
        return shuffle_lines(content, at)
    lists = [value for container, key in _places(changed) if isinstance(value := container[key], list)]
    for value in [lists[at % len(lists)]] if lists else []:
        random.Random(at).shuffle(value)
    return json.dumps(changed).encode()


def _with(damage: Any, *drawn: Any) -> Any:
    return st.tuples(*drawn).map(lambda values: lambda content: damage(content, *values))


_BYTES = b'\x00\xff\xc3"{}[],:\\\n\t 0eE-.tnf|#&*'
BYTES = st.sampled_from(_BYTES)
MUTATIONS = st.one_of(
    _with(cut, PLACE, PLACE),
    _with(flip, st.lists(st.tuples(PLACE, BYTES | st.integers(0, 255)), min_size=1, max_size=4)),
    _with(shuffle_lines, PLACE),
    _with(encode, st.sampled_from(ENCODINGS)),
    _with(insert, PLACE, st.sampled_from(HOSTILE)),
    # Twice: this one reaches furthest into a reader.
    _with(change_json, PLACE, st.sampled_from(HOSTILE)),
    _with(change_json, PLACE, st.sampled_from(HOSTILE)),
    _with(shuffle_elements, PLACE, st.just("")),
)


def damaged(content: bytes, draw: random.Random) -> bytes:
    """Return the content with one of these damages, the same for the same state of the generator."""

    def place() -> int:
        return draw.getrandbits(32)

    kind = draw.randrange(8)
    if kind > 4:
        try:
            return (
                shuffle_elements(content, place(), "")
                if kind == 5
                else change_json(content, place(), draw.choice(HOSTILE))
            )
        except RecursionError:  # it was damaged before, and is nested too deeply now
            return cut(content, place(), place())
    if kind == 0:
        return cut(content, place(), place())
    if kind == 1:
        values = (draw.choice((draw.randrange(256), *_BYTES)) for _ in range(draw.randint(1, 4)))
        return flip(content, [(place(), value) for value in values])
    if kind == 2:
        return shuffle_lines(content, place())
    if kind == 3:
        return encode(content, draw.choice(ENCODINGS))
    return insert(content, place(), draw.choice(HOSTILE))
