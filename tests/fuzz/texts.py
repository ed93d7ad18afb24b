"""Texts and settings: tokens and the compiled lookup of terms, contexts, reply templates, TOML."""

import json
from collections import Counter

import msgspec
import numpy as np

from dialog_policy.corpus import Corpus, Dialogue, Turn
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.gazetteer import static_gazetteer
from dialog_policy.policy.config import make_config, parse_settings, read_settings
from dialog_policy.runtime.replies import Replies
from dialog_policy.text.term_index import TermIndex
from dialog_policy.text.tokens import Analyzer, context_terms, tokenize
from tests.fuzz.runs import GOOD

__all__ = ["MAKERS"]

UNITS = ("word", "character", "term")
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def terms(folder):
    """The compiled lookup finds what the definition of terms says, and what Python finds."""

    def target(data):
        first, second, *_ = data[:2].ljust(2, b"\0")
        shortest = 1 + first % 4
        analyzer = Analyzer(UNITS[first // 4 % 3], shortest, shortest + first // 12 % 4)
        # Halves of surrogate pairs and NUL come in, too, as JSON may spell them.
        table, _, text = data[2:].decode("utf-8", "surrogatepass" if second % 2 else "replace").partition("\n")
        tokens = text.split(" ") if second % 4 < 2 else tokenize(text)
        known = list(
            dict.fromkeys([*analyzer.terms(table.split(" ")), *analyzer.terms(tokens)[:: 1 + second // 4 % 3]])
        )
        unknown = len(known) if second & 64 else None
        missing = None if analyzer.unit == "character" else unknown
        row_of = {term: row for row, term in enumerate(known)}
        expected = Counter(row_of.get(term, missing) for term in analyzer.terms(tokens))
        expected.pop(None, None)
        for compiled in (True, False):
            rows, counts = TermIndex(analyzer, known, unknown, compiled=compiled).distinct(tokens)
            times = np.ones(len(rows)) if counts is None else counts
            found = list(zip(rows.tolist(), times.tolist(), strict=True))
            assert found == sorted(expected.items()), f"compiled={compiled}: other rows"

    def documented(data):
        try:
            target(data)
        except UnicodeDecodeError:  # not what an utterance is ever decoded with
            return

    text = "hello there é 😀 你好\nis there a table for two, or isn't there? 你好 a table"
    return documented, [bytes([n, 3 * n % 256]) + text.encode() for n in (0, 1, 4, 5, 6, 13, 17, 30)]


def contexts(folder):
    decode = msgspec.json.Decoder(dict).decode
    gazetteer = static_gazetteer({"food": ("thai", "chinese"), "name": ("The Oak",)})

    def target(data):
        try:
            context = decode(data)
        except MALFORMED:
            return
        assert all(type(term) is str for term in context_terms(context))
        tracker = EntityTracker(gazetteer)
        for system, user in (("", "thai food at the oak"), ("The Oak serves thai", "the second one, the oak")):
            tracker.observe_turn(system, user, context)
            template = tracker.refilled("The Oak serves thai food").template
            tracker.fill(template)
        other = EntityTracker(gazetteer)
        other.restore(msgspec.json.decode(msgspec.json.encode(tracker.state())))
        assert other.state() == tracker.state(), "the state of an entity tracker"

    context = {
        "results": [{"name": "The Oak", "food": "thai"}, {"name": "B"}],
        "n": [1, 2.5, None, True],
        "slots": {"a": "b"},
    }
    return target, [json.dumps(context).encode(), b'{"results": [], "a": {"b": [[1e308, -1, "x"]]}}']


class Told(msgspec.Struct):
    """Replies of a run, and a dialogue in which they are used and learnt."""

    replies: dict
    turns: list[tuple[str, str, dict, list[str]]]


def templates(folder):
    decode = msgspec.json.Decoder(Told).decode

    def target(data):
        try:
            told = decode(data)
        except MALFORMED:
            return
        try:
            replies = Replies.from_json(told.replies)
        except ValueError:  # documented: RunReader names the file
            return
        assert Replies.from_json(replies.to_json()).to_json() == replies.to_json(), "replies that were written"
        tracker = EntityTracker(static_gazetteer(replies.gazetteer), replies.records)
        turns = []
        for system, user, context, names in told.turns[:8]:
            tracker.observe_turn(system, user, context)
            assert type(replies.text(frozenset(names), tracker)) is str
            turns.append(Turn(user=user, context=context, actions=frozenset(names), system=system))
        learnt = Replies.fit(Corpus([Dialogue(id="1", turns=tuple(turns))], gazetteer=replies.gazetteer))
        assert Replies.from_json(learnt.to_json()).to_json() == learnt.to_json(), "replies that were learnt"

    stored = json.loads((GOOD / "replies.json").read_bytes())
    stored["templates"], stored["records"] = stored["templates"][:5], {"the oak": {"phone": "123"}}
    turns = [
        ["", "a thai place", {"results": [{"name": "The Oak", "food": "thai"}]}, stored["templates"][0][0]],
        ["There are 3, such as The Oak.", "which one?", {}, stored["templates"][1][0]],
    ]
    small = {
        "templates": [[["a"], ["<name> has <food>, {0} %s", "<number_of_results_in_words>"]]],
        "gazetteer": {"food": ["thai"]},
    }
    return target, [json.dumps({"replies": r, "turns": turns}).encode() for r in (stored, small)]


def settings(folder):
    path = folder / "settings.toml"

    def target(data):
        path.write_bytes(data)
        config = make_config(read_settings(path))
        assert make_config(config.flat()) == config, "settings that were written"

    return target, [
        b"hidden = 8\nepochs = 2\nlearning_rate = 1e-3\n",
        b'user = [{kind = "lsa", ngrams = [1, 2], max_terms = 10}]\n',
        b'decoding = "joint"\nfallback_precision = 0.9\nseed = 4294967295\nweight_decay = 0.0\n',
    ]


def assignments(folder):
    def target(data):
        make_config(parse_settings(data.decode("utf-8", "replace").splitlines()))

    return target, [
        b"hidden=8\nepochs=2",
        b'user=[{kind="bits"}]',
        b"learning_rate=1e-2\nseed=1_0",
        b"decoding=joint\nentities=false",
    ]


MAKERS = {
    "terms": terms, "contexts": contexts, "templates": templates, "settings": settings, "assignments": assignments,
}  # fmt: skip
