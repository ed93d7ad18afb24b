from collections import Counter, defaultdict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dialog_policy.corpus import Dialogue, Turn
from dialog_policy.corpus.readers import stream
from dialog_policy.corpus.split_by_time import assign_in_order
from dialog_policy.corpus.splits import hash_fraction, hash_range
from dialog_policy.corpus.stratify import assign
from dialog_policy.corpus.write import write_parts
from dialog_policy.errors import CorpusError, OptionError

# Parts of the first dialogues of `many(100)`: t(rain), d(ev), (t)e(st).
PINNED = "tttdtttdtttttettettttttt"
SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def dialogue(name, *actions, text=None, **fields):
    turns = tuple(Turn(user=text or f"{name} {i}", actions=frozenset([a])) for i, a in enumerate(actions))
    return Dialogue(id=name, turns=turns, fields=fields)


def many(count):
    return [dialogue(f"d{i}", "greet", f"task {i % 7}", *(["rare"] if i % 25 == 0 else [])) for i in range(count)]


def parts_of(dialogues, shares=SHARES, **options):
    return dict(zip([d.id for d in dialogues], assign(dialogues, shares, **options), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_every_part_gets_its_share_of_every_action(seed):
    dialogues = many(500)
    parts = parts_of(dialogues, seed=seed)
    having = defaultdict(Counter)
    for d in dialogues:
        for action in {"all"} | {a for t in d.turns for a in t.actions}:
            having[action][parts[d.id]] += 1
    for counts in having.values():
        for part, share in SHARES.items():
            assert abs(counts[part] - share * counts.total()) <= 2.5


def test_real_dialogues_with_several_actions_a_turn(public_corpora):
    dialogues = list(stream(public_corpora("camrest-convlab-unified.zip")))
    counts = Counter(assign(dialogues, {"train": 0.5, "test": 0.5}))
    assert abs(counts["train"] - counts["test"]) <= 0.04 * len(dialogues)


def test_same_seed_same_split_whatever_the_order():
    dialogues = many(100)
    assert parts_of(dialogues) == parts_of(dialogues[::-1])
    assert parts_of(dialogues) != parts_of(dialogues, seed=1)
    # On every machine and in every version.
    parts = parts_of(dialogues)
    assert [parts[f"d{i}"] for i in range(24)] == [{"t": "train", "d": "dev", "e": "test"}[p] for p in PINNED]


def test_groups_and_copies_stay_together():
    dialogues = [dialogue(f"d{i}", "a", "b", user=i // 5, text=f"copy of {i % 40}") for i in range(100)]
    loose = [dialogue(f"l{i}", "a", "b", user=1000 + i) for i in range(100)]
    parts = parts_of([*dialogues, *loose], group_by="user")
    together = defaultdict(set)
    for d in dialogues:
        together["user", d.fields["user"]].add(parts[d.id])
        together["text", d.turns[0].user].add(parts[d.id])
    assert all(len(names) == 1 for names in together.values())
    # Copies alone: the field is not looked at.
    assert len({parts_of(dialogues)[d.id] for d in dialogues if d.turns[0].user == "copy of 3"}) == 1


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.sets(st.sampled_from("abcde"), min_size=1), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(0, 3),
)
def test_any_corpus_is_dealt_out_completely_or_refused(content, seed):
    dialogues = [dialogue(f"{i}", *sorted(actions), g=[group]) for i, (actions, group) in enumerate(content)]
    shares = {"x": 0.5, "y": 0.5}
    if len({group for _, group in content}) == 1:
        with pytest.raises(CorpusError, match="would be empty"):
            assign(dialogues, shares, seed=seed, group_by="g")
        return
    parts = assign(dialogues, shares, seed=seed, group_by="g")
    assert len(parts) == len(dialogues)
    assert set(parts) == {"x", "y"}
    assert len({(group, part) for (_, group), part in zip(content, parts, strict=True)}) == len(
        {group for _, group in content}
    )


@pytest.mark.parametrize("shares", [{}, {"a": 0.5}, {"a": 1.5, "b": -0.5}, {"a": float("nan"), "b": 0.5}])
def test_impossible_shares(shares):
    with pytest.raises(OptionError, match="add up to 1"):
        assign(many(10), shares)


def test_mistakes_are_said_with_their_place():
    with pytest.raises(CorpusError, match=r"dialogue 'b': it has no field 'user'; it has: usr\. Did you mean 'usr'"):
        assign([dialogue("a", "x", user=1), dialogue("b", "x", usr=1)], SHARES, group_by="user")
    with pytest.raises(CorpusError, match="dialogue 'a': its id occurs twice"):
        assign([dialogue("a", "x"), dialogue("a", "y")], SHARES)
    with pytest.raises(CorpusError, match="'dev' would be empty"):
        assign([dialogue(f"{i}", "x", g=1) for i in range(9)], SHARES, group_by="g")


def test_parts_are_written_together_or_not_at_all(tmp_path):
    dialogues = many(50)
    parts = assign(dialogues, SHARES)
    write_parts(dialogues, parts, tmp_path / "good")
    written = list(stream(tmp_path / "good"))
    assert {d.id: d.split for d in written} == dict(zip([d.id for d in dialogues], parts, strict=True))
    assert {d.fingerprint() for d in written} == {d.fingerprint() for d in dialogues}

    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "train.jsonl").write_text("as it was")
    with pytest.raises(CorpusError, match="changed meanwhile"):
        write_parts(dialogues[:-1], parts, tmp_path / "bad")
    assert [p.name for p in (tmp_path / "bad").iterdir()] == ["train.jsonl"]
    assert (tmp_path / "bad" / "train.jsonl").read_text() == "as it was"


def test_the_hash_range_of_an_id():
    for name in map(str, range(200)):
        lowest = hash_range(name)
        assert lowest <= hash_fraction(name) < {0.0: 0.8, 0.8: 0.9, 0.9: 1.0}[lowest]


@given(st.lists(st.integers(0, 30), min_size=12, max_size=40), st.randoms())
def test_parts_by_time_follow_each_other(days, random):
    times = [f"2026-01-{1 + day:02} 08:00" for day in days]
    dialogues = [Dialogue(id=str(n), turns=(), fields={"at": time}) for n, time in enumerate(times)]
    shares = {"train": 0.5, "dev": 0.25, "test": 0.25}
    assume(len(set(days)) > 8)
    try:
        parts = assign_in_order(dialogues, shares, "at")
    except CorpusError:
        return  # too many are of one time, and a part would be empty
    of_part = {part: {t for t, own in zip(times, parts, strict=True) if own == part} for part in shares}
    assert max(of_part["train"]) < min(of_part["dev"]) <= max(of_part["dev"]) < min(of_part["test"])
    if len(set(days)) == len(days):
        assert abs(parts.count("train") - len(days) / 2) <= 1
    shuffled = random.sample(range(len(days)), len(days))
    again = assign_in_order([dialogues[n] for n in shuffled], shares, "at")
    assert again == [parts[n] for n in shuffled]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([{"at": 1}, {"att": 2}], "dialogue '1': it has no field 'at'; it has: att. Did you mean 'att'"),
        (
            [{"at": 1}, {"at": "2026-01-01"}],
            "'at' has a time without a time zone, and that of the first dialogue has a number",
        ),
        ([{"at": 1}, {"at": "soon"}], "dialogue '1': its field 'at' cannot be read: expected a number or a time"),
        ([{"at": 1}, {"at": None}], "dialogue '1': its field 'at' cannot be read: it is empty"),
        ([{"at": 1}, {"at": 1}], "the part 'test' would be empty: the 2 dialogues are of 1 time"),
    ],
)
def test_what_has_no_order_is_answered(fields, message):
    dialogues = [Dialogue(id=str(n), turns=(), fields=own) for n, own in enumerate(fields)]
    with pytest.raises(CorpusError, match=message):
        assign_in_order(dialogues, {"train": 0.5, "test": 0.5}, "at")
