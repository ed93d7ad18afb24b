"""What the commands have in common: reading a corpus, options that take several words, errors without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec

from dialog_policy.corpus import Corpus
from dialog_policy.corpus.readers import load_corpus
from dialog_policy.errors import DialogPolicyError, OptionError
from dialog_policy.files import atomic_write

__all__ = ["Command", "assignments", "corpus_options", "read_corpus", "say", "write_json"]

_F = TypeVar("_F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose options with ``KEY=VALUE`` take several words, and whose errors are one message and exit code 2."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every further ``KEY=VALUE`` after such an option its own option name."""
        several = {
            name for p in self.params if isinstance(p, click.Option) and p.metavar == "KEY=VALUE" for name in p.opts
        }
        spread: list[str] = []
        current: str | None = None
        fresh = False
        for word in args:
            if word in several:
                current, fresh = word, True
            elif current is not None and not word.startswith("-") and (fresh or _is_assignment(word)):
                if not fresh:
                    spread.append(current)
                fresh = False
            else:
                current = None
            spread.append(word)
        return super().parse_args(ctx, spread)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of the user's becomes a message."""
        try:
            return super().invoke(ctx)
        except DialogPolicyError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(2)


def _is_assignment(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and key.replace("_", "").replace("-", "").isalnum() and not Path(word).exists()


def assignments(words: Iterable[str], option: str) -> dict[str, str]:
    """Turn ``KEY=VALUE`` words into a dict of strings."""
    found = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise OptionError(f"{option}: expected KEY=VALUE, found {word!r}.")
        found[key] = value
    return found


def corpus_options(command: _F) -> _F:
    """Add ``--format`` and ``--reader`` to a command."""
    command = click.option("--format", "format_", metavar="NAME", help="Format of the corpus; else it is recognised.")(
        command
    )
    return click.option(
        "--reader",
        multiple=True,
        metavar="KEY=VALUE",
        help="Options of the format's reader, such as task=5 (bAbI) or scenario=happy (STAR). Takes several.",
    )(command)


def read_corpus(
    path: str, format_: str | None, reader: Iterable[str], remembered: Mapping[str, Any] | None = None
) -> Corpus:
    """Read a corpus; format and reader options that a run remembers apply where the user gives none."""
    given = assignments(reader, "--reader")
    if remembered is not None and (format_ is None or format_ == remembered["format"]):
        try:
            return load_corpus(path, format=format_ or remembered["format"], reader={**remembered["reader"], **given})
        except DialogPolicyError:
            if format_ is not None:
                raise
    return load_corpus(path, format=format_, reader=given)


def say(text: str) -> None:
    """Say something to a person, on stderr."""
    print(text, file=sys.stderr, flush=True)


def write_json(path: str, document: Any) -> None:
    """Write a JSON file, aside and then in place."""
    with atomic_write(path) as file:
        file.write(msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n")
