"""Learn from a training part what the system says when it takes a set of actions, and of which records it knows what."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.entity_tracker import EntityTracker, Refilled
from dialog_policy.corpus.gazetteer import Gazetteer, static_gazetteer, tokens_of
from dialog_policy.corpus.placeholders import (
    AT_HAND,
    NAME,
    NUMBER,
    NUMBER_IN_WORDS,
    NUMBER_WORDS,
    PLACEHOLDER,
    placeholders_of,
)
from dialog_policy.corpus.record_memory import record_key

__all__ = ["LearntReplies", "learn_replies"]

# So many records are known at most, those that came first.
_MOST_RECORDS = 2_000
# Following a dialogue's entities takes longer than all else that is done with its text.
_MOST_TURNS = 300_000
# Action sets of fewer turns are learnt from all of these.
_FEW = 20

Templates = dict[frozenset[str], tuple[str, ...]]
_Records = dict[str, dict[str, str]]


class LearntReplies(NamedTuple):
    """What :class:`~dialog_policy.runtime.replies.Replies` is made of, as it names its parameters."""

    templates: Templates
    with_new_records: Templates
    records: Mapping[str, Mapping[str, str]]
    next_after: frozenset[str]
    at_hand_after: frozenset[str]


class _Said(NamedTuple):
    """A template before it is known which of its numbers count results.

    Attributes
    ----------
    pieces
        The template without its numbers: one piece more than there are numbers.
    numbers
        The numbers as they are written.
    """

    pieces: tuple[str, ...]
    numbers: tuple[str, ...]


class _Uses:
    """The turns in which a template was said, of which no more is kept than what is asked for.

    Parameters
    ----------
    written
        The values in its places in the first turn.

    Attributes
    ----------
    varies
        Of each place, whether another turn had another value there.
    refillable
        Of each place, whether a turn's value was refillable.
    turns
        How many there are: without, and with new records.
    """

    __slots__ = ("refillable", "turns", "varies", "written")

    def __init__(self, written: tuple[str, ...]) -> None:
        self.written, self.turns = written, [0, 0]
        self.varies, self.refillable = [False] * len(written), [False] * len(written)

    def add(self, form: Refilled, *, new_records: bool) -> None:
        """Count a turn."""
        self.turns[new_records] += 1
        if form.written != self.written:
            self.varies = [a or b != c for a, b, c in zip(self.varies, self.written, form.written, strict=True)]
        if any(form.refillable):
            self.refillable = [a or b for a, b in zip(self.refillable, form.refillable, strict=True)]

    def is_constant(self, place: int) -> bool:
        """Whether the same value was in a place several times, and the dialogue never had it."""
        return sum(self.turns) > 1 and not self.varies[place] and not self.refillable[place]


def learn_replies(corpus: Corpus, most: int) -> LearntReplies:
    """Collect of each action set the most frequent templates, at most `most` of them, or with and without new records `most` each.

    A value becomes a placeholder, unless a template that was said at least twice had the same value there each time and it
    never was to be known from the dialogue. A number becomes a placeholder where it counts the results: if, wherever the
    training part says the same around it, it was the number of results each time ("There are 3.", but not "A table for 3.").

    Of more than 300,000 turns, so many are looked at, in dialogues that are evenly spread, and besides them all dialogues with an
    action set that few turns before had.
    """
    corpus = _enough(corpus)
    static = static_gazetteer(corpus.gazetteer)
    records = _known_records(corpus, static)
    uses: dict[frozenset[str], dict[_Said, _Uses]] = {}
    # By the pieces around them: which of the numbers were that of the results whenever this was said.
    counts_results: dict[tuple[str, ...], list[bool]] = {}
    # After an utterance and without new records: how often a reply named the next record, how often the one at hand.
    named: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for dialogue in corpus:
        tracker, system = EntityTracker(static, records), ""
        for turn in dialogue.turns:
            tracker.observe_turn(system, turn.user, turn.context)
            system = turn.system
            if turn.actions is None:
                continue
            form = tracker.refilled(system)
            said = _without_numbers(form.template)
            own = uses.setdefault(turn.actions, {})
            if said not in own:
                own[said] = _Uses(form.written)
            own[said].add(form, new_records=tracker.has_new_records)
            agrees = [_value(number) == tracker.n_results for number in said.numbers]
            before = counts_results.setdefault(said.pieces, [True] * len(agrees))
            counts_results[said.pieces] = [a and b for a, b in zip(before, agrees, strict=True)]
            if not tracker.has_new_records and tracker.knows_two_records():
                for place, refillable in zip(placeholders_of(form.template), form.refillable, strict=False):
                    if refillable and place in (NAME, AT_HAND):
                        named[tracker.heard][place == AT_HAND] += 1
                        break
    templates: Templates = {}
    with_new_records: Templates = {}
    for actions, forms in uses.items():
        merged = {True: Counter[str](), False: Counter[str]()}
        for said, said_in in forms.items():
            template = _spelled(_with_constants(said, said_in), counts_results[said.pieces])
            for new_records in (True, False):
                merged[new_records][template] += said_in.turns[new_records]
        together = _ranked(merged[False] + merged[True])
        # Templates of the other turns come last: they may be all that can be filled.
        new, other = (tuple(dict.fromkeys((*_ranked(+merged[new])[:most], *together[:most]))) for new in (True, False))
        templates[actions] = other
        if new != other:
            with_new_records[actions] = new
    needed = {
        place
        for said in (*templates.values(), *with_new_records.values())
        for t in said
        for place in placeholders_of(t)
    }
    return LearntReplies(
        templates,
        with_new_records,
        {
            key: kept
            for key, r in records.items()
            if (kept := {k: v for k, v in r.items() if k in needed and k != NAME})
        },
        frozenset(utterance for utterance, (fresh, at_hand) in named.items() if fresh > max(1, at_hand)),
        frozenset(utterance for utterance, (fresh, at_hand) in named.items() if at_hand > max(1, fresh)),
    )


def _ranked(counts: Counter[str]) -> list[str]:
    return [template for template, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _enough(corpus: Corpus) -> Corpus:
    """Return dialogues of about so many turns as tell what is mostly said, and those that tell what is seldom done."""
    step = -(-corpus.n_turns // _MOST_TURNS)
    if step < 2:
        return corpus
    seen: Counter[frozenset[str]] = Counter()
    chosen = []
    for position, dialogue in enumerate(corpus):
        sets = [turn.actions for turn in dialogue.turns if turn.actions is not None]
        chosen.append(position % step == 0 or any(seen[actions] < _FEW for actions in sets))
        seen.update(sets)
    return corpus.only(chosen)


def _known_records(corpus: Corpus, static: Gazetteer) -> _Records:
    """Collect the records of all contexts, and what the system says of a record beside its name: most often, where it varies."""
    records: _Records = {}
    told: dict[str, dict[str, Counter[str]]] = {}
    for dialogue in corpus:
        tracker, system = EntityTracker(static), ""
        for turn in dialogue.turns:
            tracker.observe_turn(system, turn.user, turn.context)
            system = turn.system
            results = turn.context.get("results")
            for record in results if isinstance(results, list) else ():
                name = record.get(NAME) if isinstance(record, Mapping) else None
                if isinstance(name, str) and (len(records) < _MOST_RECORDS or record_key(name) in records):
                    own = records.setdefault(record_key(name), {})
                    own.update({str(key): value for key, value in record.items() if isinstance(value, str)})
            mentions = tracker.mentions(system)
            names = {record_key(mention.value) for mention in mentions if mention.kind == NAME}
            if len(names) == 1:
                of_name = told.setdefault(names.pop(), {})
                for mention in mentions:
                    of_name.setdefault(mention.kind, Counter())[mention.value] += 1
    for name, kinds in told.items():
        if name in records or len(records) < _MOST_RECORDS:
            own = records.setdefault(name, {})
            for kind, values in kinds.items():
                own.setdefault(kind, _ranked(values)[0])
    return records


def _value(number: str) -> int:
    return NUMBER_WORDS[number.casefold()] if number.casefold() in NUMBER_WORDS else int(number)


def _without_numbers(template: str) -> _Said:
    """Cut a template at its numbers: tokens of digits, and the English words from two to twelve."""
    blanked = PLACEHOLDER.sub(lambda match: " " * len(match[0]), template)
    pieces, numbers = [], []
    last = 0
    for token in tokens_of(blanked):
        word = token.group()
        if (word.isdecimal() and len(word) < 5 and str(int(word)) == word) or word.casefold() in NUMBER_WORDS:
            pieces.append(template[last : token.start()])
            numbers.append(word)
            last = token.end()
    return _Said((*pieces, template[last:]), tuple(numbers))


def _with_constants(said: _Said, uses: _Uses) -> _Said:
    """Put a value back in its place where it was the same each time and the dialogue never had it."""
    place = iter(range(len(uses.written)))

    def value_at(match: re.Match[str]) -> str:
        number = next(place)
        return uses.written[number] if uses.is_constant(number) else match[0]

    return _Said(tuple(PLACEHOLDER.sub(value_at, piece) for piece in said.pieces), said.numbers)


def _spelled(template: _Said, counts_results: list[bool]) -> str:
    """Put a template together again, with placeholders for the numbers that count results."""
    words = [
        (f"<{NUMBER}>" if number.isdecimal() else f"<{NUMBER_IN_WORDS}>") if counts else number
        for number, counts in zip(template.numbers, counts_results, strict=True)
    ]
    return template.pieces[0] + "".join(word + piece for word, piece in zip(words, template.pieces[1:], strict=True))
