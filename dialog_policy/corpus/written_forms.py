"""Other ways to write the values of a gazetteer, learnt from what users said and what the system made of it.

A user says "moderately priced", and the system searches for ``moderate``, which nobody has said: words that resemble a value,
and after which the system often says it without having heard it, are a way to write it.
"""

from __future__ import annotations

from collections import Counter
from difflib import SequenceMatcher
from typing import TypeVar

from dialog_policy.corpus.corpus import Corpus
from dialog_policy.corpus.gazetteer import Gazetteer, find_mentions, static_gazetteer, tokens_of
from dialog_policy.corpus.placeholders import NAME

__all__ = ["with_written_forms"]

# In so many dialogues at least, and in this share of those with the words, the system said the value.
_FEWEST, _SHARE = 2, 0.25
# How much words resemble a value: twice the characters in matching blocks over all characters of both, spaces left out
# (Ratcliff & Metzener 1988).
_SIMILARITY = 0.7
_NO_RECORDS = Gazetteer()

_Value = tuple[str, str]
_Corpus = TypeVar("_Corpus", bound=Corpus)


def with_written_forms(corpus: _Corpus) -> _Corpus:
    """Return the corpus with other ways to write the values in its gazetteer, as far as its dialogues show them.

    Parameters
    ----------
    corpus
        The training part, and nothing else.
    """
    if not corpus.gazetteer:
        return corpus
    forms = _written_forms(corpus)
    return corpus.with_gazetteer({kind: (*entries, *forms.get(kind, ())) for kind, entries in corpus.gazetteer.items()})


def _written_forms(corpus: Corpus) -> dict[str, list[tuple[str, str]]]:
    static = static_gazetteer(corpus.gazetteer)
    heard_in: Counter[str] = Counter()
    said_after: Counter[tuple[str, _Value]] = Counter()
    for dialogue in corpus:
        heard: set[str] = set()
        given: set[_Value] = set()
        followed: set[tuple[str, _Value]] = set()
        for turn in dialogue.turns:
            heard |= _unmarked(turn.user, static, given)
            said = find_mentions(turn.system, _NO_RECORDS, static)
            # A reply that names a record says that record's values, not the user's.
            if not any(mention.kind == NAME for mention in said):
                meant = {(mention.kind, mention.value) for mention in said} - given
                followed.update((words, value) for words in heard for value in meant)
        heard_in.update(heard)
        said_after.update(followed)
    best: dict[str, tuple[int, float, _Value]] = {}
    for (words, (kind, value)), count in said_after.items():
        if (
            count >= _FEWEST
            and count >= _SHARE * heard_in[words]
            and (alike := _similarity(words, value)) >= _SIMILARITY
        ):
            best[words] = max(best.get(words, (0, 0.0, ("", ""))), (count, alike, (kind, value)))
    forms: dict[str, list[tuple[str, str]]] = {}
    for words, (_, _, (kind, value)) in sorted(best.items()):
        # "moderately priced" says no more than "moderately".
        if not any(part in best and best[part][2] == (kind, value) for part in words.split() if part != words):
            forms.setdefault(kind, []).append((words, value))
    return forms


def _unmarked(user: str, static: Gazetteer, given: set[_Value]) -> set[str]:
    """Return the words, and the pairs of them, that are no values; add the values to `given`."""
    mentions = find_mentions(user, _NO_RECORDS, static)
    given.update((mention.kind, mention.value) for mention in mentions)
    runs: list[list[str]] = [[]]
    for token in tokens_of(user):
        if any(mention.start <= token.start() < mention.end for mention in mentions):
            runs.append([])
        else:
            runs[-1].append(token.group().casefold())
    return {" ".join(run[i : i + n]) for run in runs for n in (1, 2) for i in range(len(run) - n + 1)}


def _similarity(words: str, value: str) -> float:
    plain = value.casefold().replace("_", "").replace(" ", "")
    return SequenceMatcher(None, words.replace(" ", ""), plain, autojunk=False).ratio()
