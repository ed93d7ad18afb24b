"""What the commands have in common: reading a corpus, options that take several words, errors without a traceback."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from dialog_policy.cli.terminal import printable
from dialog_policy.corpus import Corpus
from dialog_policy.corpus.readers import ADDRESSES, is_recognised_as, load_corpus, readers
from dialog_policy.errors import CorpusError, CorpusWarning, DialogPolicyError, OptionError
from dialog_policy.files import write_file

__all__ = [
    "Command",
    "FiniteRange",
    "assignments",
    "corpora_argument",
    "corpus_options",
    "keep_inputs",
    "read_corpus",
    "say",
    "write_json",
]

_F = TypeVar("_F", bound=Callable[..., Any])


class FiniteRange(click.FloatRange):
    """Numbers within bounds; no bound excludes NaN, and one bound alone not infinity."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a number."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"expected a finite number, found {value}.", param, ctx)
        return number


class Command(click.Command):
    """A command whose options with ``KEY=VALUE`` take several words, and whose errors are one message and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every further ``KEY=VALUE`` after such an option its own option name."""
        several = {
            name for p in self.params if isinstance(p, click.Option) and p.metavar == "KEY=VALUE" for name in p.opts
        }
        spread: list[str] = []
        current: str | None = None
        is_first = False
        for word in args:
            if word in several:
                current, is_first = word, True
            elif current is not None and not word.startswith("-") and (is_first or _is_assignment(word)):
                if not is_first:
                    spread.append(current)
                is_first = False
            else:
                current = None
            spread.append(word)
        return super().parse_args(ctx, spread)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the user's becomes a message, and so does what a corpus warns of."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("always", CorpusWarning)
                show = warnings.showwarning
                warnings.showwarning = lambda message, category, *place: (
                    say(f"Warning: {message}") if category is CorpusWarning else show(message, category, *place)
                )
                return super().invoke(ctx)
        except DialogPolicyError as error:
            say(f"Error: {error}")
            ctx.exit(2)


def _is_assignment(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and key.replace("_", "").replace("-", "").isalnum() and not Path(word).exists()


def assignments(words: Iterable[str], option: str) -> dict[str, str]:
    """Turn ``KEY=VALUE`` words into a dict of strings."""
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise OptionError(f"{option}: expected KEY=VALUE, found {word!r}.")
        values[key] = value
    return values


# The argument of a command that reads several corpora as one.
corpora_argument = click.argument("corpora", metavar="CORPUS...", nargs=-1, required=True)


def corpus_options(command: _F) -> _F:
    """Add ``--format`` and ``--reader`` to a command."""
    command = click.option("--format", "format_", metavar="NAME", help="Format of the corpus.  [default: recognised]")(
        command
    )
    return click.option(
        "--reader",
        multiple=True,
        metavar="KEY=VALUE",
        help="Options of the format's reader, such as task=5 (bAbI) or scenario=happy (STAR). Takes several.",
    )(command)


def read_corpus(
    corpora: str | Sequence[str],
    format_: str | None,
    reader: Iterable[str],
    remembered: Mapping[str, Any] | None = None,
    *,
    annotated: bool = True,
) -> Corpus:
    """Read a corpus, or several as one.

    Parameters
    ----------
    corpora
        What the user named.
    format_, reader
        Values of the options that :func:`corpus_options` adds.
    remembered
        ``format`` and ``reader`` of a run, which apply where the user gives none and the corpus is of that format; what would
        be executed, such as a query, does not.
    annotated
        As for :func:`~dialog_policy.corpus.readers.load_corpus`; False: the corpus is for prediction.

    Raises
    ------
    CorpusError
        If it cannot be read.
    OptionError
        If an option is unknown, or the run was trained with a query, which the user does not name.
    """
    given = assignments(reader, "--reader")
    known = {**readers(), **ADDRESSES}
    if remembered is None or remembered["format"] not in known or format_ not in (None, remembered["format"]):
        return load_corpus(corpora, format=format_, reader=given, annotated=annotated)
    name, options = remembered["format"], known[remembered["format"]].options
    is_of_it = format_ is not None or is_recognised_as(corpora, name)
    own = {key: value for key, value in remembered["reader"].items() if key not in given}
    for key in [key for key in own if key in options and options[key].from_user_only]:
        value = own.pop(key)
        if is_of_it and value != options[key].default:
            raise OptionError(
                f"the run was trained with {key}={value}. A run does not decide what is executed on your database: if this is "
                f"what you want, say --reader {key}={shlex.quote(value)}; otherwise name your own {key}."
            )
    try:
        return load_corpus(corpora, format=name, reader={**own, **given}, annotated=annotated)
    except DialogPolicyError as error:
        # A corpus of this format is never read in another way than the run's without a word.
        if not is_of_it:
            return load_corpus(corpora, format=format_, reader=given, annotated=annotated)
        said = [f"{key}={value}" for key, value in own.items() if key in options and value != options[key].default]
        if not said or not isinstance(error, CorpusError):
            raise
        raise CorpusError(
            f"{error} The corpus was read as the run's own was, with {shlex.join(said)}; --reader KEY=VALUE overrides that."
        ) from None


def keep_inputs(inputs: Sequence[str], *outputs: str | None, force: bool = True) -> None:
    """Refuse outputs that would overwrite what a command reads, and, without `force`, any file that exists.

    Raises
    ------
    OptionError
        If an output is one of the inputs, or exists and may not be replaced.
    """
    read = {Path(path).resolve(): path for path in inputs}
    for output in filter(None, outputs):
        place = Path(output).resolve()
        if place in read:
            raise OptionError(f"{output} is read by this command and would be overwritten. Name another file.")
        if not force and place.exists():
            raise OptionError(f"{output} exists already. Name another file, or give --force to replace it.")


def say(text: str) -> None:
    """Say something to a person, on stderr; names and texts of others have no power over the terminal."""
    click.echo(printable(text, newline="\n"), err=True)


def write_json(path: str, document: Any) -> None:
    """Write a JSON file, aside and then in place."""
    write_file(path, msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
