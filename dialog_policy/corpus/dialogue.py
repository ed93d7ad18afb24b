"""What a dialogue is: turns, dialogues, corpora. Immutable, and free of any vector."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from dialog_policy.corpus.splits import in_split, splits_of
from dialog_policy.errors import CorpusError, require

if TYPE_CHECKING:
    import pandas

__all__ = ["Corpus", "Dialogue", "Turn"]


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange: what came in, and what the system did.

    A policy predicts `actions` from `user` and `context` of this and earlier turns and from `actions` and `system` of
    earlier turns only.

    Attributes
    ----------
    user
        What the user said; empty where the user said nothing.
    context
        What the system learnt before it acted: database results, API answers, slots. Any JSON object.
    actions
        The set of actions the system took; the empty set is a target like any other. None: the turn is history only.
    system
        What the system said.
    reward, propensity
        Logged reward of the turn, and probability with which the logging policy chose `actions`, where they are known.
    """

    user: str = ""
    context: Mapping[str, Any] = {}
    actions: frozenset[str] | None = None
    system: str = ""
    reward: float | None = None
    propensity: float | None = None

    @property
    def is_target(self) -> bool:
        """Whether a policy is asked to predict this turn's actions."""
        return self.actions is not None


class Dialogue(msgspec.Struct, frozen=True, kw_only=True):
    """An ordered conversation.

    Attributes
    ----------
    id
        Unique within the corpus.
    turns
        In the order in which they happened.
    split
        The part of the corpus that its authors put it in, if they did: ``"train"``, ``"dev"``, ``"test"`` …
    fields
        Whatever else the corpus says about it (domain, scenario, language …), as JSON values.
    """

    id: str
    turns: tuple[Turn, ...]
    split: str | None = None
    fields: Mapping[str, Any] = {}

    def __len__(self) -> int:
        return len(self.turns)

    @property
    def n_targets(self) -> int:
        """Number of turns to predict."""
        return sum(turn.is_target for turn in self.turns)

    def fingerprint(self) -> str:
        """SHA-256 over the turns (hexadecimal): equal for dialogues with the same content, whatever their ids."""
        content = [
            [turn.user, turn.context, None if turn.actions is None else sorted(turn.actions), turn.system]
            for turn in self.turns
        ]
        return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


class Corpus:
    """Dialogues in a fixed order, with what is known about them as a whole.

    Parameters
    ----------
    dialogues
        The dialogues; ids must be unique.
    name
        For reports; normally the file's name.
    format, reader_options
        How it was read, so that a run can read the next part in the same way.
    gazetteer
        Entity type to the values that the corpus' own database or ontology lists for it. Used to find entities in text.
    replies_are_templates
        Whether each action names a reply template that, refilled from the dialogue, gives `Turn.system` exactly
        (then `response_accuracy` can be reported).

    Raises
    ------
    CorpusError
        If an id occurs twice.
    """

    def __init__(
        self,
        dialogues: Iterable[Dialogue],
        *,
        name: str = "corpus",
        format: str = "native",
        reader_options: Mapping[str, str] | None = None,
        gazetteer: Mapping[str, tuple[str, ...]] | None = None,
        replies_are_templates: bool = False,
    ) -> None:
        self._dialogues = tuple(dialogues)
        self.name = name
        self.format = format
        self.reader_options = dict(reader_options or {})
        self.gazetteer = dict(gazetteer or {})
        self.replies_are_templates = replies_are_templates
        seen: set[str] = set()
        for dialogue in self._dialogues:
            if dialogue.id in seen:
                raise CorpusError(
                    f"the dialogue id {dialogue.id!r} occurs twice in {name}.",
                    remedy="Give every dialogue an id of its own.",
                )
            seen.add(dialogue.id)

    def __iter__(self) -> Iterator[Dialogue]:
        return iter(self._dialogues)

    def __len__(self) -> int:
        return len(self._dialogues)

    def __getitem__(self, dialogue_id: str) -> Dialogue:
        return self._by_id[dialogue_id]

    def __contains__(self, dialogue_id: object) -> bool:
        return dialogue_id in self._by_id

    def __repr__(self) -> str:
        return (
            f"<Corpus {self.name!r}: {len(self)} dialogues, {self.n_turns} turns, {self.n_targets} of them to predict>"
        )

    @cached_property
    def _by_id(self) -> dict[str, Dialogue]:
        return {dialogue.id: dialogue for dialogue in self._dialogues}

    @property
    def n_turns(self) -> int:
        """Number of turns, history-only turns included."""
        return sum(len(dialogue) for dialogue in self)

    @property
    def n_targets(self) -> int:
        """Number of turns to predict."""
        return sum(dialogue.n_targets for dialogue in self)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names that :meth:`split` accepts for this corpus, besides ``"all"``."""
        return splits_of(dialogue.split for dialogue in self)

    def with_dialogues(self, dialogues: Iterable[Dialogue], *, name: str | None = None) -> Corpus:
        """Return a corpus with the same description and other dialogues."""
        return Corpus(
            dialogues,
            name=name or self.name,
            format=self.format,
            reader_options=self.reader_options,
            gazetteer=self.gazetteer,
            replies_are_templates=self.replies_are_templates,
        )

    def split(self, name: str) -> Corpus:
        """Return one part of the corpus.

        Parameters
        ----------
        name
            ``"all"``, a part that the corpus' authors made, or, where they made none, ``"train"``, ``"dev"`` or ``"test"``
            of a fixed 80/10/10 cut by the SHA-256 of the dialogue's id. A corpus with a train part and no dev part lends
            a tenth of train to dev by the same hash.

        Raises
        ------
        CorpusError
            If the corpus has no such part, or the part is empty.
        """
        if name == "all":
            return self
        chosen = in_split(name, [(dialogue.id, dialogue.split) for dialogue in self], corpus=self.name)
        return self.with_dialogues(dialogue for dialogue, is_in in zip(self, chosen, strict=True) if is_in)

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame with one row a turn.

        Columns: ``dialogue_id, turn`` (counted from 0), ``user, actions`` (a frozenset, or None for history only),
        ``system, context`` (a dict), ``split, reward, propensity``.
        """
        library = require("pandas", extra="train", purpose="Corpus.to_frame()")
        rows = [
            (d.id, i, t.user, t.actions, t.system, dict(t.context), d.split, t.reward, t.propensity)
            for d in self
            for i, t in enumerate(d.turns)
        ]
        columns = ["dialogue_id", "turn", "user", "actions", "system", "context", "split", "reward", "propensity"]
        frame: pandas.DataFrame = library.DataFrame(rows, columns=columns)
        return frame
