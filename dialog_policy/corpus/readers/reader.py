"""What a corpus format has to offer to be read: one :class:`Reader` object, found through an entry point."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from numbers import Integral
from typing import NamedTuple

from dialog_policy.corpus.dialogue import Dialogue
from dialog_policy.corpus.gazetteer import Entries
from dialog_policy.corpus.problems import Problem
from dialog_policy.corpus.readers.source import Source
from dialog_policy.errors import OptionError, did_you_mean

__all__ = ["BITS", "Opened", "Option", "Reader", "option_text"]

Options = Mapping[str, str]


class Option(NamedTuple):
    """An option of a reader.

    Attributes
    ----------
    default
        Its value if the user gives none.
    help
        What it does.
    choices
        Its legal values; empty: any text.
    from_user_only
        Whether it says what is executed, as a query does: then a run that was trained with it does not bring it along.
    """

    default: str
    help: str
    choices: tuple[str, ...] = ()
    from_user_only: bool = False


# Of formats whose actions may be bit vectors.
BITS = Option(
    "",
    "where actions are bit vectors such as 0110 or [0, 1, 1, 0]: the names of the bits, greet,query,…, or how many there are",
)


class Opened(NamedTuple):
    """A source as one reader sees it.

    Attributes
    ----------
    dialogues
        Yields them one by one; can be called again.
    gazetteer, replies_are_templates
        As in :class:`~dialog_policy.corpus.corpus.Corpus`.
    unannotated
        As `dialogues`, of a source that need not say what the system did: where it says so nowhere, all turns have the
        actions None. None: the format always does, or `dialogues` reads that, too.
    problems
        What is wrong with the source beyond its single dialogues, such as names that it declares nowhere, or what it has that
        is not read. Reading goes on in spite of them.
    """

    dialogues: Callable[[], Iterator[Dialogue]]
    gazetteer: Entries = {}
    replies_are_templates: bool = False
    unannotated: Callable[[], Iterator[Dialogue]] | None = None
    problems: Callable[[], Iterable[Problem]] = tuple


@dataclass(frozen=True)
class Reader:
    """A corpus format.

    Attributes
    ----------
    name
        What ``--format`` calls it.
    help
        One line about the format.
    recognises
        Whether a source is in this format; cheap.
    open
        Opens a source with all options filled in.
    options
        Name to :class:`Option`.
    members
        The files of a source that this reader reads, where each is a corpus by itself; None: files of the format belong
        together.
    """

    name: str
    help: str
    recognises: Callable[[Source], bool]
    open: Callable[[Source, Options], Opened]
    options: Mapping[str, Option] = field(default_factory=dict)
    members: Callable[[Source], list[str]] | None = None

    def fill(self, given: Options) -> dict[str, str]:
        """Return the value of every option.

        Raises
        ------
        OptionError
            If an option is unknown or its value is not one of the choices.
        """
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise OptionError(
                    f"the reader {self.name!r} has no option {name!r}; it has: {known}.{did_you_mean(name, self.options)}"
                )
            choices = self.options[name].choices
            if choices and value not in choices:
                raise OptionError(
                    f"{name}={value}: expected one of {', '.join(choices)} for the reader {self.name!r}."
                    f"{did_you_mean(value, choices)}"
                )
        return {name: given.get(name, option.default) for name, option in self.options.items()}


def option_text(name: str, value: str | int | Iterable[str]) -> str:
    """Return the value of an option as text; from Python it may be a number or a list of names.

    Raises
    ------
    OptionError
        If it is anything else.
    """
    if isinstance(value, (str, Integral)) and not isinstance(value, bool):
        return str(value)
    names = list(value) if isinstance(value, Iterable) else []
    if not names or not all(isinstance(one, str) and "," not in one for one in names):
        raise OptionError(f"{name}={value!r}: expected a text, a number, or a list of names without commas in them.")
    return ",".join(names)
