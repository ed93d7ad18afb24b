"""Learn from a training part what the system says when it takes a set of actions, and of which records it knows what."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.entity_tracker import EntityTracker
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


class _Use(NamedTuple):
    """A turn in which a template was said: the values in its places, which of them are refillable, and what the turn had."""

    written: tuple[str, ...]
    refillable: tuple[bool, ...]
    new_records: bool


def learn_replies(corpus: Corpus, most: int) -> LearntReplies:
    """Collect of each action set the most frequent templates, at most `most` of them, or with and without new records `most` each.

    A value becomes a placeholder, unless a template that was said at least twice had the same value there each time and it
    never was to be known from the dialogue. A number becomes a placeholder where it counts the results: if, wherever the
    training part says the same around it, it was the number of results each time ("There are 3.", but not "A table for 3.").
    """
    static = static_gazetteer(corpus.gazetteer)
    records = _known_records(corpus, static)
    uses: dict[frozenset[str], dict[_Said, list[_Use]]] = {}
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
            use = _Use(form.written, form.refillable, tracker.has_new_records)
            uses.setdefault(turn.actions, {}).setdefault(said, []).append(use)
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
        for said, own in forms.items():
            template = _spelled(_with_constants(said, own), counts_results[said.pieces])
            for new_records in (True, False):
                merged[new_records][template] += sum(use.new_records == new_records for use in own)
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


def _with_constants(said: _Said, uses: Sequence[_Use]) -> _Said:
    """Put a value back in its place where it was the same each time and the dialogue never had it."""
    constant = [
        len(uses) > 1 and len(set(written)) == 1 and not any(refillable)
        for written, refillable in zip(
            zip(*(use.written for use in uses), strict=True),
            zip(*(use.refillable for use in uses), strict=True),
            strict=True,
        )
    ]
    place = iter(range(len(constant)))

    def value_at(match: re.Match[str]) -> str:
        number = next(place)
        return uses[0].written[number] if constant[number] else match[0]

    return _Said(tuple(PLACEHOLDER.sub(value_at, piece) for piece in said.pieces), said.numbers)


def _spelled(template: _Said, counts_results: list[bool]) -> str:
    """Put a template together again, with placeholders for the numbers that count results."""
    words = [
        (f"<{NUMBER}>" if number.isdecimal() else f"<{NUMBER_IN_WORDS}>") if counts else number
        for number, counts in zip(template.numbers, counts_results, strict=True)
    ]
    return template.pieces[0] + "".join(word + piece for word, piece in zip(words, template.pieces[1:], strict=True))
