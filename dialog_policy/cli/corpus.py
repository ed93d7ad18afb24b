"""``inspect``, ``validate``, ``convert``, ``split`` and ``download``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from dialog_policy.cli.options import Command, assignments, corpus_options, read_corpus, say, write_json
from dialog_policy.corpus import Dialogue
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.download import catalogue
from dialog_policy.corpus.download import download as fetch
from dialog_policy.corpus.readers import open_corpus
from dialog_policy.corpus.stratify import assign
from dialog_policy.corpus.write import write_corpus, write_parts
from dialog_policy.errors import CorpusError, OptionError
from dialog_policy.files import atomic_write
from dialog_policy.report.corpus_text import describe
from dialog_policy.text.tokens import tokenize

__all__ = ["convert", "download", "inspect", "split", "validate"]

_PARTS = ("train=0.8", "dev=0.1", "test=0.1")
_PART = re.compile(r"\w[\w.-]*")


@click.command(cls=Command)
@click.argument("corpus")
@corpus_options
@click.option("--json", "json_", metavar="FILE", help="Write everything as JSON, too.")
@click.option("--html", metavar="FILE", help="Write a page to read in a browser (extra `report`).")
def inspect(corpus: str, format_: str | None, reader: tuple[str, ...], json_: str | None, html: str | None) -> None:
    """Say what is in a corpus: dialogues, lengths, actions, duplicates, vocabulary, contradictions, problems."""
    used, _, opened = open_corpus(corpus, format=format_, reader=assignments(reader, "--reader"))
    counted, found = examine(opened.dialogues(), tokenize, go_on=False)
    for problem in found:
        if problem.check in ("empty", "no-actions"):
            raise CorpusError(f"{problem.message}.", path=corpus, remedy=problem.remedy)
    problems = [str(problem) for problem in found]
    summary = {"corpus": Path(corpus).resolve().name, "format": used.name, **counted, "problems": problems}
    if json_:
        write_json(json_, summary)
    if html:
        from dialog_policy.report.corpus_report import corpus_report

        page = corpus_report(summary, problems)
        with atomic_write(html) as file:
            file.write(page.encode())
    click.echo(describe(summary, problems))


@click.command(cls=Command)
@click.argument("corpus")
@corpus_options
@click.option("--json", "json_", metavar="FILE", help="Write the problems as JSON, too.")
@click.pass_context
def validate(ctx: click.Context, corpus: str, format_: str | None, reader: tuple[str, ...], json_: str | None) -> None:
    """Check a corpus; exit code 1 if something is wrong with it, 0 if there is nothing or only warnings."""
    options = assignments(reader, "--reader")

    def dialogues() -> Iterator[Dialogue]:
        yield from open_corpus(corpus, format=format_, reader=options)[2].dialogues()

    if not Path(corpus).exists():
        open_corpus(corpus)  # raises, and says what is there instead
    counted, problems = examine(dialogues(), tokenize)
    errors = sum(problem.level == "error" for problem in problems)
    warnings = len(problems) - errors
    name = Path(corpus).resolve().name
    if json_:
        sizes = {key: counted[key] for key in ("dialogues", "turns", "target_turns")}
        levels = {"ok": not errors, "errors": errors, "warnings": warnings}
        write_json(json_, {"corpus": name, **sizes, **levels, "problems": msgspec.to_builtins(problems)})
    for problem in problems:
        click.echo(f"{problem.level}: {problem}")
    click.echo(
        f"{name}: {counted['dialogues']} dialogues, {counted['target_turns']} turns to predict; "
        f"errors: {errors}, warnings: {warnings}."
    )
    ctx.exit(1 if errors else 0)


@click.command(cls=Command)
@click.argument("corpus")
@click.argument("out")
@corpus_options
def convert(corpus: str, out: str, format_: str | None, reader: tuple[str, ...]) -> None:
    """Write a corpus as JSON Lines, CSV, TSV or Parquet, by OUT's suffix."""
    found = read_corpus(corpus, format_, reader)
    write_corpus(found, out)
    say(f"{len(found)} dialogues with {found.n_turns} turns written to {out}.")


@click.command(cls=Command)
@click.argument("corpus")
@click.argument("out")
@corpus_options
@click.option(
    "--parts",
    multiple=True,
    metavar="KEY=VALUE",
    help="Parts and their shares, which add up to 1. Takes several.  [default: " + " ".join(_PARTS) + "]",
)
@click.option("--seed", default=0, show_default=True, help="Another seed, another split.")
@click.option("--group-by", metavar="FIELD", help="Keep dialogues with the same value of this field in one part.")
def split(
    corpus: str,
    out: str,
    format_: str | None,
    reader: tuple[str, ...],
    parts: tuple[str, ...],
    seed: int,
    group_by: str | None,
) -> None:
    """Deal the dialogues of a corpus into parts: OUT/train.jsonl, OUT/dev.jsonl, OUT/test.jsonl.

    Every part gets its share of the dialogues with each action; dialogues with the same content stay together. The same
    seed gives the same parts on every machine. Parts that the corpus has already are dealt anew.
    """
    shares = {name: _share(name, value) for name, value in assignments(parts or _PARTS, "--parts").items()}
    folder = Path(out)
    known = {f"{name}.jsonl" for name in shares}
    others = sorted({path.name for path in folder.iterdir()} - known) if folder.is_dir() else []
    if others or folder.is_file():
        found = repr(others[0]) if others else "a file of this name"
        raise OptionError(f"{out}: expected a new folder, found {found}. Name another folder, or empty this one.")
    opened = open_corpus(corpus, format=format_, reader=assignments(reader, "--reader"))[2]
    # Read twice, so that the dialogues need not be kept: to deal them, and to write them.
    assigned = assign(opened.dialogues(), shares, seed=seed, group_by=group_by)
    write_parts(opened.dialogues(), assigned, folder)
    counts = Counter(assigned)
    for name in shares:
        click.echo(f"{folder / f'{name}.jsonl'}: {counts[name]} dialogues ({counts[name] / len(assigned):.1%})")


def _share(name: str, value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = float("nan")
    if not _PART.fullmatch(name) or name == "all" or not 0 < share <= 1:
        raise OptionError(f"--parts {name}={value}: expected a part's name and a share between 0 and 1, as in dev=0.1.")
    return share


@click.command(cls=Command)
@click.argument("name", required=False)
@click.option("--list", "list_", is_flag=True, help="List the corpora that can be fetched.")
@click.option(
    "--cache", metavar="FOLDER", help="Where to keep them; else $DIALOG_POLICY_CACHE or the user's cache folder."
)
@click.option("--mirror", metavar="URL", help="Fetch URL/NAME/FILE instead of the pinned address.")
@click.option("--catalogue", "catalogue_", metavar="FILE", help="A list of corpora of your own, as JSON.")
def download(name: str | None, list_: bool, cache: str | None, mirror: str | None, catalogue_: str | None) -> None:
    """Fetch a public corpus (extra `download`) and print the path to read; without NAME list what there is.

    What comes is checked by its SHA-256 and kept: a second call fetches nothing.
    """
    known = catalogue(catalogue_)
    if name is None or list_:
        for key, entry in known.items():
            click.echo(f"{key:14} {entry.title}; {entry.licence}")
        return
    path = fetch(name, cache=cache, mirror=mirror, known=known)
    entry = known[name]
    say(f"{entry.title}\nLicence: {entry.licence}\nCite: {entry.citation}\nMore: {entry.homepage}")
    say(f"Look into it: dialog-policy inspect {path} {entry.example}".rstrip())
    click.echo(str(path))
