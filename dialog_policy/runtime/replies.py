"""Reply templates: for each action set the delexicalised utterance that the training part has most often."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.templates import DialogueMemory

__all__ = ["Replies"]


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
    def fit(cls, corpus: Corpus, *, kept: int = 3) -> Replies:
        """Collect the `kept` most frequent templates of each action set."""
        counts: dict[frozenset[str], Counter[str]] = {}
        for dialogue in corpus:
            memory = DialogueMemory(corpus.gazetteer)
            for turn in dialogue.turns:
                memory.hear(turn.user, turn.context)
                if turn.actions is not None:
                    counts.setdefault(turn.actions, Counter())[memory.delexicalise(turn.system)] += 1
                memory.say(turn.system)
        templates = {
            actions: tuple(t for t, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))[:kept])
            for actions, found in counts.items()
        }
        return cls(templates, corpus.gazetteer)

    def memory(self) -> DialogueMemory:
        """Return the memory of a new dialogue."""
        return DialogueMemory(self.gazetteer)

    def text(self, actions: frozenset[str], memory: DialogueMemory) -> str:
        """Return the reply for an action set: the most frequent template that the dialogue so far can fill.

        A set that training never showed is answered by the templates of its actions one after the other; empty if nothing
        is known to say.
        """
        for template in self.templates.get(actions, ()):
            filled = memory.fill(template)
            if filled is not None:
                return filled
        if len(actions) < 2:
            return ""
        parts = (self.text(frozenset([action]), memory) for action in sorted(actions))
        return " ".join(part for part in parts if part)

    def to_json(self) -> dict[str, Any]:
        """Return what a run folder stores."""
        ordered = sorted(self.templates.items(), key=lambda item: sorted(item[0]))
        return {"templates": [[sorted(s), list(t)] for s, t in ordered], "gazetteer": self.gazetteer}

    @classmethod
    def from_json(cls, described: Mapping[str, Any]) -> Replies:
        """Undo :meth:`to_json`."""
        return cls({frozenset(s): tuple(t) for s, t in described["templates"]}, described["gazetteer"])
