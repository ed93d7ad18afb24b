"""The bundled corpus is what its program writes, and what its README promises."""

import importlib.util
import itertools
import json
import re
import subprocess
import sys
from collections import Counter

import pytest

from tests.conftest import REPOSITORY

CORPORA = REPOSITORY / "corpora"


@pytest.fixture(scope="module")
def generate():
    """The program as a module."""
    sys.path.insert(0, str(CORPORA))
    spec = importlib.util.spec_from_file_location("generate", CORPORA / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(CORPORA))


@pytest.fixture(scope="module")
def dialogues():
    return [json.loads(line) for line in (CORPORA / "desk.jsonl").read_text(encoding="utf-8").splitlines()]


def test_the_file_is_what_the_program_writes(tmp_path):
    command = [sys.executable, str(CORPORA / "generate.py"), "--out", str(tmp_path / "again.jsonl")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert (tmp_path / "again.jsonl").read_bytes() == (CORPORA / "desk.jsonl").read_bytes()
    readme = (CORPORA / "README.md").read_text(encoding="utf-8")
    for line in printed.splitlines():
        assert line in readme, "the README shows what the program prints"


def test_its_size_and_variety(dialogues):
    assert len(dialogues) >= 1000
    lengths = {len(d["turns"]) for d in dialogues}
    assert min(lengths) == 2
    assert max(lengths) == 30
    assert {domain for d in dialogues for domain in d["domains"]} == {"restaurant", "train", "clinic"}
    sets = [t["actions"] for d in dialogues for t in d["turns"] if t["actions"] is not None]
    assert len({action for actions in sets for action in actions}) >= 25
    assert 0.28 <= sum(len(actions) > 1 for actions in sets) / len(sets) <= 0.45
    assert any(not actions for actions in sets)
    assert any(t["actions"] is None for d in dialogues for t in d["turns"])
    for split in ("train", "dev", "test"):
        languages = Counter(d["language"] for d in dialogues if d["split"] == split)
        assert set(languages) == {"en", "es", "ja", "zh"}
        assert languages["en"] / languages.total() > 0.8


def test_phrasings_of_the_parts_are_disjoint(generate):
    for language in generate.load_languages(CORPORA / "phrases").values():
        for table in (language.intents, language.fragments):
            for name, parts in table.items():
                for one, two in itertools.combinations(("train", "dev", "test"), 2):
                    assert not set(parts[one]) & set(parts[two]), (language.name, name)
                assert all(len(set(parts[p])) == len(parts[p]) >= 1 for p in parts)


def test_no_sentence_pattern_occurs_in_two_parts(generate, dialogues):
    """What is left of the users' sentences without their values."""
    values = re.compile(r"\d+")
    languages = generate.load_languages(CORPORA / "phrases").values()
    words = {v for t in languages for slots in (t.values, t.test_values) for vs in slots.values() for v in vs}
    known = re.compile("|".join(sorted(map(re.escape, words), key=len, reverse=True)))
    patterns = {
        split: {
            values.sub("#", known.sub("#", t["user"]))
            for d in dialogues
            if d["split"] == split
            for t in d["turns"]
            if t["user"]
        }
        for split in ("train", "dev", "test")
    }
    for one, two in itertools.combinations(patterns, 2):
        assert not patterns[one] & patterns[two]


def test_the_ceiling_is_the_expected_share_of_most_probable_choices(generate):
    """Over many dialogues the most probable set is chosen about as often as the ceiling says."""
    import desk

    likely = total = expected = 0.0
    original = desk.Desk.act

    def counting(self, user, choice, context=None):
        nonlocal likely, total, expected
        actions = original(self, user, choice, context)
        options = choice if isinstance(choice, list) else [(1.0, choice)]
        likely += actions == max(options)[1]
        total += 1
        expected += self.ceilings[-1]
        return actions

    desk.Desk.act = counting
    try:
        ceilings = [c for _, own in generate.generate(600, 7) for c in own]
    finally:
        desk.Desk.act = original
    assert len(ceilings) == total
    assert sum(ceilings) == pytest.approx(expected)
    assert likely / total == pytest.approx(expected / total, abs=0.006)
    assert 0.92 <= expected / total < 1


def test_what_the_desk_does_follows_from_the_dialogue(dialogues):
    """Rules that can be checked from outside."""
    for d in dialogues:
        turns = d["turns"]
        for before, turn in itertools.pairwise(turns):
            actions = set(turn["actions"] or ())
            if any(a.startswith("query_") for a in before["actions"] or ()):
                results = turn["context"]["results"]
                expected = {0: {"inform_none", "request_change"}, 1: {"offer"}}.get(
                    len(results), {"inform_count", "offer"}
                )
                assert actions == expected
            if any(a.startswith("book_") for a in before["actions"] or ()):
                booked = turn["context"]["booking"]["status"] == "booked"
                assert ("inform_booked" in actions) == booked
        booked_before_login = itertools.takewhile(
            lambda t: not re.search(r"4711|2088|9350|1204|6677|3141", t["user"]), turns
        )
        assert not any(a.startswith("book_") for t in booked_before_login for a in t["actions"] or ())


def test_any_number_of_dialogues_is_written_as_they_come(generate):
    stream = generate.generate(10**9, 1)
    first = [next(stream)[0] for _ in range(3)]
    assert [d["id"] for d in first] == ["desk-00000", "desk-00001", "desk-00002"]
