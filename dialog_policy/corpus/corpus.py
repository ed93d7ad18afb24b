"""A corpus: dialogues in a fixed order, and what is known about them as a whole."""

from __future__ import annotations

import html
import itertools
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import TYPE_CHECKING, SupportsIndex, TypeVar, overload

from dialog_policy.corpus.bits import bit_names
from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.frame import dialogues_of_frame, frame_of
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.part_labels import USUAL_PARTS
from dialog_policy.corpus.plain import PlainDialogues, plain_dialogues
from dialog_policy.corpus.positions import Positions
from dialog_policy.corpus.splits import in_split, splits_of
from dialog_policy.errors import CorpusError, CorpusWarning, OptionError, counted, did_you_mean

if TYPE_CHECKING:
    import pandas

__all__ = ["Corpus"]

_Own = TypeVar("_Own", bound="Corpus")
# Dialogues that a notebook shows of a corpus.
_SHOWN = 10


class Corpus(Sequence[Dialogue]):
    """Dialogues in a fixed order, with what is known about them as a whole: a sequence of :class:`Dialogue`.

    Parameters
    ----------
    dialogues
        The dialogues; ids must be unique. Contexts become what JSON makes of them (a tuple is a list), and actions a frozenset.
    name
        For reports; normally the file's name.
    format, reader_options
        How it was read, so that a run can read other corpora in the same way.
    gazetteer
        Maps an entity type to its values in the corpus' own database or ontology, or to pairs of a spelling variant and its
        value. Used to find entities in text.
    replies_are_templates
        Whether each action names a reply template that, filled from the dialogue, gives `Turn.system` exactly (then
        `response_accuracy` can be reported).

    Raises
    ------
    CorpusError
        If an id occurs twice, or a turn has a context that JSON cannot express or actions that are no collection of names.
    """

    def __init__(
        self,
        dialogues: Iterable[Dialogue],
        *,
        name: str = "corpus",
        format: str = "native",
        reader_options: Mapping[str, str] | None = None,
        gazetteer: Entries | None = None,
        replies_are_templates: bool = False,
    ) -> None:
        self._dialogues = plain_dialogues(dialogues)
        self.name = name
        self.format = format
        self.reader_options = dict(reader_options or {})
        self.gazetteer: Entries = dict(gazetteer or {})
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

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Dialogue: ...

    @overload
    def __getitem__(self, index: slice, /) -> Corpus: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Dialogue | Corpus:
        """Return the dialogue at a position, or, for a slice, a corpus of those within it."""
        if isinstance(index, slice):
            return self.with_dialogues(PlainDialogues(self._dialogues[index]))
        if isinstance(index, str):
            raise TypeError(
                f"a corpus is indexed by position, found {index!r}; corpus.dialogue({index!r}) looks up an id."
            )
        return self._dialogues[index]

    def __contains__(self, item: object) -> bool:
        """Whether a dialogue, or a dialogue with this id, is in the corpus."""
        if isinstance(item, Dialogue):
            return self._by_id.get(item.id) == item
        return item in self._by_id

    def dialogue(self, dialogue_id: str) -> Dialogue:
        """Return the dialogue with an id.

        Raises
        ------
        CorpusError
            If there is none.
        """
        try:
            return self._by_id[dialogue_id]
        except KeyError:
            hint = did_you_mean(dialogue_id, self._by_id)
            raise CorpusError(f"{self.name} has no dialogue with the id {dialogue_id!r}.{hint}") from None

    def __repr__(self) -> str:
        sizes = f"{counted(len(self), 'dialogue')}, {counted(self.n_turns, 'turn')}"
        return f"<Corpus {self.name!r}: {sizes}, {self.n_targets:,} of them to predict>"

    def _repr_html_(self) -> str:
        """Return what a notebook shows: sizes, and the first dialogues."""
        heads = "".join(f"<th>{head}</th>" for head in ("id", "split", "turns", "first user utterance"))
        rows = []
        for dialogue in self[:_SHOWN]:
            first = next((turn.user for turn in dialogue.turns if turn.user), "")
            cells = (dialogue.id, dialogue.split or "", str(len(dialogue)), first)
            rows.append("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>")
        more = f"<p>… and {len(self) - _SHOWN} more</p>" if len(self) > _SHOWN else ""
        caption = html.escape(repr(self)[1:-1])
        return f"<table><caption>{caption}</caption><tr>{heads}</tr>{''.join(rows)}</table>{more}"

    @property
    def ids(self) -> Set[str]:
        """Ids of the dialogues, in their order; whether one is among them is looked up, not searched."""
        return self._by_id.keys()

    def position(self, dialogue_id: str) -> int:
        """Return the position of the dialogue with an id, or -1 if there is none."""
        return self._positions.get(dialogue_id, -1)

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {dialogue.id: position for position, dialogue in enumerate(self)}

    @property
    def targets(self) -> Sequence[int]:
        """Number of turns to predict of each dialogue, in their order."""
        return [dialogue.n_targets for dialogue in self]

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
        return splits_of(self.labels)

    def with_dialogues(self, dialogues: Iterable[Dialogue]) -> Corpus:
        """Return a corpus with the same description and other dialogues."""
        return Corpus(
            dialogues,
            name=self.name,
            format=self.format,
            reader_options=self.reader_options,
            gazetteer=self.gazetteer,
            replies_are_templates=self.replies_are_templates,
        )

    def with_gazetteer(self: _Own, gazetteer: Entries) -> _Own:
        """Return the same dialogues with another gazetteer."""
        other = object.__new__(type(self))  # not copied: a copy of a store in preparation would open it
        vars(other).update(vars(self))
        other.gazetteer = dict(gazetteer)
        return other

    def split(self, name: str) -> Corpus:
        """Return one part of the corpus.

        Parameters
        ----------
        name
            ``"all"`` or one of the corpus' own parts. If it has none, ``"train"``, ``"dev"`` or ``"test"`` of a fixed 80/10/10
            split by the SHA-256 of the dialogue's id. If it has a train part but no dev part, dev is a tenth of train, by the
            same hash.

        Raises
        ------
        CorpusError
            If the corpus has no such part, or the part is empty.

        Warns
        -----
        CorpusWarning
            If a file that is called after this part names no parts, so that only a share of it is taken.
        """
        if name == "all":
            return self
        labels = self.labels
        part = self.only(in_split(name, self.ids, labels, corpus=self.name))
        called = USUAL_PARTS.get(self.name.partition(".")[0].casefold())
        if called == name and len(part) < len(self) and not any(labels):
            message = f"{self.name} names no parts, so that {name!r} is {len(part):,} of its {counted(len(self), 'dialogue')}, by the hash of their ids."
            advice = "Take all of them with --split all, or name the files of all parts together."
            warnings.warn(f"{message} {advice}", CorpusWarning, stacklevel=2)
        return part

    @property
    def labels(self) -> list[str | None]:
        """Each dialogue's own part (:attr:`Dialogue.split`), in their order."""
        return [dialogue.split for dialogue in self]

    def only(self, chosen: Iterable[bool]) -> Corpus:
        """Return a corpus with the same description and the chosen ones of its dialogues.

        Parameters
        ----------
        chosen
            Whether each dialogue is chosen, in their order.
        """
        return self.with_dialogues(PlainDialogues(itertools.compress(self, chosen)))

    def take(self, positions: Iterable[SupportsIndex], axis: int = 0) -> Corpus:
        """Return a corpus with the same description and the dialogues at these positions, in their order.

        Of a store they stay on disk where the positions ascend, and are read into memory otherwise.

        Parameters
        ----------
        positions
            Counted from 0, or from the end if they are negative.
        axis
            0, as scikit-learn and pandas call what is counted.

        Raises
        ------
        IndexError
            If there is no dialogue at a position.
        CorpusError
            If a position occurs twice.
        """
        if axis:
            raise OptionError(f"axis={axis}: a corpus has dialogues along the axis 0 and no other.")
        places = [range(len(self))[position] for position in positions]
        if all(one < other for one, other in itertools.pairwise(places)):
            chosen = set(places)
            return self.only(place in chosen for place in range(len(self)))
        return self.with_dialogues(PlainDialogues(self[place] for place in places))

    @property
    def iloc(self) -> Positions:
        """Corpora by position; scikit-learn looks for it.

        ``cross_val_score`` and ``train_test_split`` make corpora then, with gazetteer and all, where they would make lists.
        """
        return Positions(self)

    loc = iloc

    def fingerprints(self) -> list[str]:
        """Return the :meth:`Dialogue.fingerprint` of each dialogue, in their order."""
        return [dialogue.fingerprint() for dialogue in self]

    def to_frame(self) -> pandas.DataFrame:
        """Return a pandas DataFrame with one row a turn; :meth:`from_frame` reads it.

        Columns: ``dialogue_id, turn`` (counted from 0), ``user, actions`` (a frozenset, or None for history only),
        ``system, context`` (a dict), ``split, reward, propensity, fields`` (a dict). A dialogue without turns has no row. Its
        sets and dicts have no form in files of tables: :func:`~dialog_policy.write_corpus` writes a corpus, also as CSV.

        Raises
        ------
        MissingExtraError
            If pandas is not installed.
        """
        return frame_of(self)

    @classmethod
    def from_frame(cls, frame: pandas.DataFrame, *, bits: int | Iterable[str] = (), name: str = "frame") -> Corpus:
        """Return the corpus of a pandas DataFrame with one row a turn.

        Parameters
        ----------
        frame
            The columns of :meth:`to_frame`, of which ``dialogue_id`` and ``actions`` are required, also as levels of the index.
            A missing value means unknown, and actions are any collection of names. The rows of a dialogue need not be
            consecutive; a column ``turn`` gives their order. Numbers may be given as texts, ``context`` and ``fields`` as the
            JSON of an object. Any other column becomes a field of the dialogue where it is constant within it.
        bits
            Names of the actions in the order of their bits, where ``actions`` are bit vectors, such as the rows of an array of
            shape (n_turns, n_actions); or how many bits there are. Without a column ``actions`` these are names of columns with
            a bit each. Empty: actions are names.
        name
            For reports.

        Raises
        ------
        CorpusError
            If a column is missing or there twice, a cell has a value of another kind, or rows of a dialogue disagree about its
            split or fields.
        OptionError
            If two bits have the same name.
        """
        return cls(dialogues_of_frame(frame, bit_names(bits)), name=name)
