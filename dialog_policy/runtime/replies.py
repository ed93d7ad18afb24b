"""Reply templates: for each action set the delexicalised utterances that the training part has most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.entity_tracker import EntityTracker
from dialog_policy.corpus.gazetteer import static_gazetteer, tokens_of
from dialog_policy.corpus.placeholders import NUMBER, NUMBER_IN_WORDS, NUMBER_WORDS, PLACEHOLDER
from dialog_policy.runtime.stored import stored_replies

__all__ = ["Replies"]


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


class Replies:
    """What the system says when it takes a set of actions.

    Parameters
    ----------
    templates
        Action set to templates, the most frequent first.
    gazetteer
        Entity type to values, for finding entities in what is said.
    """

    def __init__(
        self, templates: Mapping[frozenset[str], tuple[str, ...]], gazetteer: Mapping[str, tuple[str, ...]]
    ) -> None:
        self.templates = dict(templates)
        self.gazetteer = {kind: tuple(values) for kind, values in gazetteer.items()}

    @classmethod
    def fit(cls, corpus: Corpus, *, most: int = 3) -> Replies:
        """Collect of each action set the most frequent templates, `most` of them.

        A number in a template becomes a placeholder where it counts the results: if, wherever the training part says the same
        around it, it was the number of results each time ("There are 3.", but not "A table for 3.").
        """
        forms_of: dict[frozenset[str], Counter[_Said]] = {}
        # By the pieces around them: which of the numbers were that of the results whenever this was said.
        counts_results: dict[tuple[str, ...], list[bool]] = {}
        static = static_gazetteer(corpus.gazetteer)
        for dialogue in corpus:
            tracker, system = EntityTracker(static), ""
            for turn in dialogue.turns:
                tracker.observe_turn(system, turn.user, turn.context)
                system = turn.system
                if turn.actions is None:
                    continue
                template = _without_numbers(tracker.delexicalise(system))
                forms_of.setdefault(turn.actions, Counter())[template] += 1
                agrees = [_value(number) == tracker.n_results for number in template.numbers]
                before = counts_results.setdefault(template.pieces, [True] * len(agrees))
                counts_results[template.pieces] = [a and b for a, b in zip(before, agrees, strict=True)]
        templates: dict[frozenset[str], tuple[str, ...]] = {}
        for actions, forms in forms_of.items():
            merged: Counter[str] = Counter()
            for template, count in forms.items():
                merged[_spelled(template, counts_results[template.pieces])] += count
            ranked = sorted(merged.items(), key=lambda item: (-item[1], item[0]))
            templates[actions] = tuple(template for template, _ in ranked[:most])
        return cls(templates, corpus.gazetteer)

    def text(self, actions: frozenset[str], tracker: EntityTracker) -> str:
        """Return the reply for an action set: the most frequent template that the dialogue so far can fill.

        A set that training never showed is answered by the templates of its actions one after the other; empty if nothing
        is known to say.
        """
        for template in self.templates.get(actions, ()):
            filled = tracker.fill(template)
            if filled is not None:
                return filled
        if len(actions) < 2:
            return ""
        parts = (self.text(frozenset([action]), tracker) for action in sorted(actions))
        return " ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """Return what a run folder stores."""
        ordered = sorted(self.templates.items(), key=lambda item: sorted(item[0]))
        return {"templates": [[sorted(s), list(t)] for s, t in ordered], "gazetteer": self.gazetteer}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Replies:
        """Undo :meth:`to_json`.

        Raises
        ------
        ValueError
            If it is no such object.
        """
        stored = stored_replies(described)
        return cls({frozenset(actions): said for actions, said in stored.templates}, stored.gazetteer)


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


def _spelled(template: _Said, counts_results: list[bool]) -> str:
    """Put a template together again, with placeholders for the numbers that count results."""
    words = [
        (f"<{NUMBER}>" if number.isdecimal() else f"<{NUMBER_IN_WORDS}>") if counts else number
        for number, counts in zip(template.numbers, counts_results, strict=True)
    ]
    return template.pieces[0] + "".join(word + piece for word, piece in zip(words, template.pieces[1:], strict=True))
