"""From the parts of stories to dialogues: what was said, what was done, what the system knew."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.readers.acts import Utterance, pair
from dialog_policy.corpus.readers.rasa.documents import Entry, sections
from dialog_policy.corpus.readers.rasa.nlu import Examples
from dialog_policy.corpus.readers.rasa.project import check_section
from dialog_policy.corpus.readers.rasa.stories import Known, Part, Said, Step
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import CorpusError

__all__ = ["Builder"]

# What a context has of these was said or found out since the system last acted.
_NEWS = ("entities", "slot_was_set")
# Steps of the dialogues that the alternatives of one story make; people write hundreds at the most.
_MOST_STEPS = 200_000


class Builder:
    """Makes dialogues of parts.

    Parameters
    ----------
    source, members
        The files that have examples of what users say, and the system's responses.
    labels
        ``action``: each action is a turn; ``set``: what the system does in a row is one.
    """

    def __init__(self, source: Source, members: Iterable[str], labels: str) -> None:
        self._examples = Examples()
        self._responses: dict[str, str] = {}
        self._labels = labels
        self._count: dict[str, int] = {}
        for member in members:
            for key, value in sections(source, member):
                check_section(key, value, source.place(member))
                if key == "nlu" and value is not None:
                    self._examples.add(value, source.place(member))
                elif key in ("responses", "templates") and isinstance(value, Entry):
                    for action, variants in value.items():
                        self._responses.setdefault(action, _first_text(variants))

    def dialogues(self, way: Sequence[Part], split: str | None) -> Iterator[Dialogue]:
        """Yield the dialogues of parts in a row: as many as the longest ``or`` has alternatives, so that each occurs."""
        # The key picks the example: it depends on nothing that comes later, nor on the order of the files.
        steps = [
            ("\n".join([*(part.name for part in way[: n + 1]), str(position)]), alternatives)
            for n, part in enumerate(way)
            for position, alternatives in enumerate(part.steps)
        ]
        n_ways = max((len(alternatives) for _, alternatives in steps), default=0)  # a story may have no steps
        if n_ways * len(steps) > _MOST_STEPS:
            raise CorpusError(
                f"an 'or' of {n_ways:,} alternatives in {len(steps):,} steps would make {n_ways * len(steps):,} steps of dialogues; "
                "refused.",
                path=way[0].path,
                line=way[0].line,
                dialogue=way[0].name,
            )
        name = " > ".join(name for name, _ in itertools.groupby(part.name for part in way))
        for i in range(n_ways):
            utterances = self._utterances((key, choices[i % len(choices)]) for key, choices in steps)
            turns = tuple(pair(_as_sets(utterances) if self._labels == "set" else utterances))
            if turns:
                yield Dialogue(id=self._unique(name), turns=turns, split=split, fields={"kind": way[0].kind})

    def _utterances(self, steps: Iterable[tuple[str, Step]]) -> Iterator[Utterance]:
        context: dict[str, Any] = {}
        for key, step in steps:
            if isinstance(step, Said):
                yield Utterance(True, step.text or self._examples.pick(step.intent, key))
                if step.entities:
                    context = {**context, "entities": {**context.get("entities", {}), **step.entities}}
            elif not isinstance(step, Known):
                text = self._responses.get(step.action, "") if step.text is None else step.text
                yield Utterance(False, text, frozenset(step.acts or (step.action,)), context)
                context = {name: value for name, value in context.items() if name not in _NEWS}
            elif step.slots is None:
                context = {**context, "active_loop": step.active_loop}
            else:
                context = {**context, "slots": {**context.get("slots", {}), **step.slots}}
                # That a slot was set again to what it was is news, too: a search was made, and found as much as before.
                said = context.get("entities", {})
                news = {name: value for name, value in step.slots.items() if name not in said or said[name] != value}
                if news:
                    context["slot_was_set"] = {**context.get("slot_was_set", {}), **news}

    def _unique(self, name: str) -> str:
        """Return an id that no other dialogue has: the second ``greet`` is ``greet (2)``."""
        while (count := self._count.get(name, 0) + 1) > 1:
            self._count[name] = count
            name = f"{name} ({count})"
        self._count[name] = 1
        return name


def _first_text(variants: Any) -> str:
    texts = (v.get("text") for v in (variants if isinstance(variants, list) else []) if isinstance(v, Entry))
    return next((text.strip() for text in texts if isinstance(text, str)), "")


def _as_sets(utterances: Iterable[Utterance]) -> Iterator[Utterance]:
    """Join what the system does in a row; when it began, it knew the context of the first."""
    for is_user, group in itertools.groupby(utterances, key=lambda utterance: utterance.is_user):
        if is_user:
            yield from group
            continue
        row = list(group)
        text = " ".join(utterance.text for utterance in row if utterance.text)
        actions = frozenset(action for utterance in row for action in utterance.actions or ())
        yield Utterance(False, text, actions, row[0].context)
