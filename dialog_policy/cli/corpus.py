"""``inspect``, ``validate``, ``convert``, ``split`` and ``download``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Set
from functools import cache
from pathlib import Path

import click
import msgspec

from dialog_policy.cli.options import (
    Command,
    assignments,
    corpora_argument,
    corpus_options,
    keep_inputs,
    read_corpus,
    say,
    write_json,
)
from dialog_policy.cli.terminal import printable
from dialog_policy.corpus import Corpus, Dialogue
from dialog_policy.corpus.checks import examine
from dialog_policy.corpus.download import catalogue
from dialog_policy.corpus.download import download as fetch
from dialog_policy.corpus.problems import LEVELS, warn_of
from dialog_policy.corpus.readers import OpenCorpus, open_corpus, open_source
from dialog_policy.corpus.readers.warehouse import is_address, name_of_address
from dialog_policy.corpus.split_by_time import assign_in_order
from dialog_policy.corpus.stratify import assign, check_shares
from dialog_policy.corpus.summary import CorpusSummary
from dialog_policy.corpus.write import write_corpus, write_parts
from dialog_policy.errors import CorpusError, OptionError, counted
from dialog_policy.files import check_output, write_file
from dialog_policy.report import html_report, show
from dialog_policy.text.tokens import tokenize

__all__ = ["convert", "download", "inspect", "split", "validate"]

_PARTS = ("train=0.8", "dev=0.1", "test=0.1")
_PART = re.compile(r"\w[\w.-]*")


@click.command(cls=Command)
@corpora_argument
@corpus_options
@click.option("--json", "json_", metavar="FILE", help="Also write everything as JSON.")
@click.option("--html", metavar="FILE", help="Write a page to read in a browser (extra `report`).")
def inspect(
    corpora: tuple[str, ...], format_: str | None, reader: tuple[str, ...], json_: str | None, html: str | None
) -> None:
    """Describe a corpus: dialogues, lengths, actions, duplicates, vocabulary, contradictions, problems.

    Several corpora are described as one.
    """
    keep_inputs(corpora, json_, html)
    opened = open_corpus(corpora, format=format_, reader=assignments(reader, "--reader"))
    counts, problems = examine(opened.dialogues(), tokenize, go_on=False, of_source=opened.problems)
    for problem in problems:
        if problem.check in ("empty", "no-actions"):
            raise CorpusError(f"{problem.message}.", path=opened.name, remedy=problem.remedy)
    sentences = [str(problem) for problem in problems if problem.level != "note"]
    summary = CorpusSummary.of(counts, corpus=opened.name, format=opened.format, problems=sentences)
    if json_:
        write_json(json_, summary.to_json())
    if html:
        write_file(html, html_report(summary))
    show(summary)


@click.command(cls=Command)
@corpora_argument
@corpus_options
@click.option("--json", "json_", metavar="FILE", help="Also write the problems as JSON.")
@click.pass_context
def validate(
    ctx: click.Context, corpora: tuple[str, ...], format_: str | None, reader: tuple[str, ...], json_: str | None
) -> None:
    """Check a corpus before training; exit code 1 if it has errors, 0 if it has none or only warnings and notes.

    Several corpora are checked as one.
    """
    keep_inputs(corpora, json_)
    options = assignments(reader, "--reader")

    @cache
    def opened() -> OpenCorpus:
        return open_corpus(corpora, format=format_, reader=options)

    def dialogues() -> Iterator[Dialogue]:
        yield from opened().dialogues()

    for path in corpora:
        if not is_address(path) and not Path(path).exists():
            open_source(path)  # raises, and says what there is instead
    counts, problems = examine(dialogues(), tokenize, of_source=lambda: opened().problems())
    levels = Counter(problem.level for problem in problems)
    name = " + ".join(name_of_address(path) if is_address(path) else Path(path).resolve().name for path in corpora)
    if json_:
        sizes = {key: getattr(counts, key) for key in ("dialogues", "turns", "target_turns")}
        totals = {f"{level}s": levels[level] for level in LEVELS}
        write_json(
            json_,
            {"corpus": name, **sizes, "ok": not levels["error"], **totals, "problems": msgspec.to_builtins(problems)},
        )
    for problem in problems:
        click.echo(printable(f"{problem.level}: {problem}"))
    listed = ", ".join(f"{level}s: {levels[level]}" for level in LEVELS)
    sizes_said = f"{counted(counts.dialogues, 'dialogue')}, {counted(counts.target_turns, 'turn')} to predict"
    click.echo(printable(f"{name}: {sizes_said}; {listed}."))
    ctx.exit(1 if levels["error"] else 0)


@click.command(cls=Command)
@corpora_argument
@click.argument("out")
@corpus_options
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
def convert(corpora: tuple[str, ...], out: str, format_: str | None, reader: tuple[str, ...], force: bool) -> None:
    """Write a corpus as JSON Lines, CSV, TSV or Parquet, by the suffix of OUT.

    Several corpora become one.
    """
    if not force:
        keep_inputs((), out, force=False)
    corpus = read_corpus(corpora, format_, reader)
    write_corpus(corpus, out)
    say(f"{counted(len(corpus), 'dialogue')} with {counted(corpus.n_turns, 'turn')} written to {out}.")
    _say_what_stays(corpus)


@click.command(cls=Command)
@corpora_argument
@click.argument("out")
@corpus_options
@click.option(
    "--parts",
    multiple=True,
    metavar="KEY=VALUE",
    help="Parts and their shares, which add up to 1. Takes several.  [default: " + " ".join(_PARTS) + "]",
)
@click.option("--seed", default=0, show_default=True, help="Seed; each seed gives another split.")
@click.option("--group-by", metavar="FIELD", help="Keep dialogues with the same value of this field in one part.")
@click.option(
    "--order-by",
    metavar="FIELD",
    help="Make parts that follow each other in time: the first has the dialogues with the lowest numbers or earliest dates in this field.",
)
@click.option("--force", is_flag=True, help="Replace the parts that an earlier split left in OUT.")
def split(
    corpora: tuple[str, ...],
    out: str,
    format_: str | None,
    reader: tuple[str, ...],
    parts: tuple[str, ...],
    seed: int,
    group_by: str | None,
    order_by: str | None,
    force: bool,
) -> None:
    """Divide a corpus into parts: OUT/train.jsonl, OUT/dev.jsonl, OUT/test.jsonl.

    Every part gets its share of the dialogues with each action; dialogues with the same content stay together. The same
    seed gives the same parts on every machine. With --order-by the parts follow each other in time instead. Parts that the corpus already has are ignored. OUT is written completely or not at all.
    """
    shares = {name: _share(name, value) for name, value in assignments(parts or _PARTS, "--parts").items()}
    if order_by is not None and (group_by is not None or seed):
        raise OptionError("--order-by alone decides about the parts: leave out --group-by and --seed.")
    check_shares(shares)
    _check_folder(Path(out), {f"{name}.jsonl" for name in shares}, force)
    opened = open_corpus(corpora, format=format_, reader=assignments(reader, "--reader"))
    # Read twice, so that the dialogues need not be kept: to deal them, and to write them.
    if order_by is None:
        assigned = assign(opened.dialogues(), shares, seed=seed, group_by=group_by)
    else:
        assigned = assign_in_order(opened.dialogues(), shares, order_by)
    write_parts(opened.dialogues(), assigned, out)
    warn_of(opened.problems())
    _say_what_stays(opened)
    counts = Counter(assigned)
    for name in shares:
        share = counts[name] / len(assigned)
        click.echo(printable(f"{Path(out) / f'{name}.jsonl'}: {counted(counts[name], 'dialogue')} ({share:.1%})"))


def _say_what_stays(corpus: Corpus | OpenCorpus) -> None:
    """Say what a corpus has beside its dialogues, which their files have no place for."""
    known = "the values of its database, by which names are found in texts" if corpus.gazetteer else ""
    replies = "that its replies are templates" if corpus.replies_are_templates else ""
    if known or replies:
        what = " and ".join(filter(None, (known, replies)))
        say(f"Note: the files have the dialogues only, not {what}. A policy trained on the original has them.")


def _check_folder(folder: Path, parts: Set[str], force: bool) -> None:
    """Refuse a folder with anything in it but parts that may be replaced."""
    check_output(folder, folder=True)
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in parts]
    if others:
        raise OptionError(
            f"{folder}: expected a new or empty folder, found {others[0]!r} in it. Name another folder, or empty this one."
        )
    if names and not force:
        raise OptionError(
            f"{folder} has {', '.join(names)} already. Name another folder, or give --force to replace them."
        )


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
    "--cache",
    metavar="FOLDER",
    help="Folder for the files.  [default: $DIALOG_POLICY_CACHE or the user's cache folder]",
)
@click.option("--mirror", metavar="URL", help="Fetch URL/NAME/FILE instead of the pinned address.")
@click.option(
    "--catalogue", "catalogue_", metavar="FILE", help="Your own list of corpora (JSON), instead of the built-in one."
)
def download(name: str | None, list_: bool, cache: str | None, mirror: str | None, catalogue_: str | None) -> None:
    """Fetch a public corpus (extra `download`) and print its path; without NAME, list the corpora.

    Files are checked by their SHA-256 and kept: a second call downloads nothing.
    """
    known = catalogue(catalogue_)
    if name is None or list_:
        for key, entry in known.items():
            click.echo(f"{key:14} {entry.title}; {entry.licence}")
        return
    path = fetch(name, cache=cache, mirror=mirror, known=known)
    entry = known[name]
    say(f"{entry.title}\nLicence: {entry.licence}\nCite: {entry.citation}\nMore: {entry.homepage}")
    say(f"Next: dialog-policy inspect {path} {entry.example}".rstrip())
    click.echo(str(path))
