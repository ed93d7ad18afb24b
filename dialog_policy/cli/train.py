"""``train``."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dialog_policy.cli.options import Command, FiniteRange, corpora_argument, corpus_options, read_corpus, say
from dialog_policy.corpus import Corpus
from dialog_policy.distributed import current_group, join
from dialog_policy.errors import CorpusWarning, OptionError, RunError, counted
from dialog_policy.network.checkpoint import CHECKPOINT
from dialog_policy.on_ray.training import train_on_ray
from dialog_policy.runtime.folder import LOGS, check_target, partial_folder
from dialog_policy.runtime.history import kept_accuracy
from dialog_policy.runtime.run_reader import MANIFEST, RunReader

if TYPE_CHECKING:
    from dialog_policy.policy import DialogPolicy

__all__ = ["choose_dev", "train"]


def choose_dev(dev: str, corpus: Corpus, format_: str | None, reader: tuple[str, ...]) -> Corpus | str | None:
    """Return the validation part that ``--dev`` names: a part of the corpus, ``inner``, ``none``, or another corpus.

    ``auto`` is the corpus' part `dev`, and ``inner`` where it has none.
    """
    from dialog_policy.policy.parts import own_dev

    chosen = own_dev(corpus, dev)
    return read_corpus(chosen, format_, reader) if isinstance(chosen, str) and chosen != "inner" else chosen


@click.command(cls=Command)
@corpora_argument
@click.option("--out", required=True, metavar="RUN", help="Folder to write the run to.")
@click.option(
    "--split", default="train", show_default=True, help="Part of the corpus to train on; `all` for the whole corpus."
)
@click.option(
    "--dev",
    default="auto",
    show_default=True,
    metavar="SPLIT|CORPUS|inner|none|auto",
    help="Validation part, for early stopping and calibration: a part of the corpus, another corpus, `inner` (a tenth of the "
    "training part) or `none`. `auto` is the corpus' part dev or, if it has none, `inner`. With fewer than 20 dialogues there "
    "is no early stopping, and training runs for a fixed number of epochs.",
)
@click.option(
    "--backend",
    type=click.Choice(["tensorflow", "jax"]),
    default=None,
    help="Library that Keras computes with; jax needs the extra `jax`.  [default: $KERAS_BACKEND or tensorflow]",
)
@click.option(
    "--recipe",
    metavar="NAME",
    help="Settings and reader options that did best on a known corpus: babi5, babi6, dstc2, sgd, sim-m, star, ted-paper. "
    "--config, --set and --reader override them.",
)
@click.option("--config", metavar="FILE.toml", help="File with settings, one KEY = VALUE per line.")
@click.option(
    "--set",
    "set_",
    multiple=True,
    metavar="KEY=VALUE",
    help="Single settings, such as hidden=256 epochs=30. Takes several.",
)
@click.option(
    "--resume/--restart",
    default=None,
    help="What to do with the checkpoint of an interrupted training. --resume continues from it, with the same result as without "
    "the interruption; --restart discards it and begins anew. If there is a checkpoint and you give neither, nothing is trained.",
)
@click.option(
    "--distributed",
    is_flag=True,
    help="Train together with other processes, on this or other machines, that run the same command (JAX; docs/distributed.md). If "
    "torchrun, Ray, MPI, SLURM or an indexed Kubernetes job has started them, the next three options are not needed.",
)
@click.option("--coordinator", metavar="HOST:PORT", help="With --distributed: address of process 0.")
@click.option("--processes", type=int, metavar="N", help="With --distributed or --ray: number of processes.")
@click.option("--rank", type=int, metavar="I", help="With --distributed: number of this process, counted from 0.")
@click.option(
    "--wait",
    type=FiniteRange(min=0, min_open=True),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="With --distributed: how long to wait for the other processes.",
)
@click.option(
    "--ray",
    metavar="ADDRESS|local",
    help="Let this Ray cluster start the processes (extra `ray`): one per node, or as many as --processes says. All nodes must see "
    "the files at the same paths. Lost processes are started again.",
)
@corpus_options
def train(
    corpora: tuple[str, ...],
    out: str,
    split: str,
    dev: str,
    backend: str | None,
    recipe: str | None,
    config: str | None,
    set_: tuple[str, ...],
    resume: bool | None,
    distributed: bool,
    coordinator: str | None,
    processes: int | None,
    rank: int | None,
    wait: float,
    ray: str | None,
    format_: str | None,
    reader: tuple[str, ...],
) -> None:
    """Train a policy on one or several corpora and write it to a run folder.

    docs/training.md describes the settings.
    """
    from dialog_policy.network.backend import be_lean, choose_backend
    from dialog_policy.policy import DialogPolicy, make_config
    from dialog_policy.policy.config import parse_settings, read_settings
    from dialog_policy.policy.recipes import load_recipe

    if ray is not None:
        if distributed or (coordinator, rank) != (None, None):
            raise OptionError("--ray starts all processes itself. Leave out --distributed, --coordinator and --rank.")
        click.echo(
            train_on_ray(partial(_words_on_ray, click.get_current_context()), ray, processes, say), err=True, nl=False
        )
        return
    if not distributed and (coordinator, processes, rank) != (None, None, None):
        raise OptionError("--coordinator, --processes and --rank only work with --distributed. Add --distributed.")
    if distributed:
        backend = backend or "jax"
        if backend != "jax":
            raise OptionError(f"--distributed needs the backend jax, found {backend}. Give --backend jax.")
    if backend is not None:
        choose_backend(backend)
    settings: dict[str, Any] = {}
    if recipe is not None:
        settings, options = load_recipe(recipe)
        reader = (*(f"{name}={value}" for name, value in options.items()), *reader)
    if config is not None:
        settings.update(read_settings(config))
    policy = DialogPolicy.from_config(make_config({**settings, **parse_settings(set_)}))
    target = Path(out)
    with ExitStack() as stack:
        group = stack.enter_context(join(coordinator, processes, rank, wait=wait)) if distributed else current_group()
        if group.leads:
            check_target(target)
        else:
            warnings.simplefilter("ignore", CorpusWarning)  # the first process says it
        before = _described(target)
        whole = read_corpus(corpora, format_, reader)
        part, validation = whole.split(split), choose_dev(dev, whole, format_, reader)
        del whole  # parts that are not used need not stay in memory
        be_lean()
        try:
            policy.fit(part, dev=validation, out=target, resume=resume)
        except KeyboardInterrupt:
            folder = partial_folder(target)
            if folder.exists():
                raise RunError(
                    f"stopped. The last finished epoch is kept in {folder}. To continue, give the same command with --resume."
                ) from None
            raise
    for line in _report(policy, out, before) if group.leads else ():
        say(line)


def _words_on_ray(context: click.Context, again: bool) -> list[str]:
    """Return the words of this command for the processes that Ray starts; `again`: after a loss."""
    given = dict(context.params)
    if again and (partial_folder(Path(given["out"])) / CHECKPOINT).exists():
        given["resume"] = True
    words = ["train"]
    for parameter in context.command.params:
        value = given.get(parameter.name or "")
        if parameter.name in ("ray", "processes") or value is None or (value is False and parameter.name != "resume"):
            continue
        if isinstance(parameter, click.Argument):
            words += value
        elif parameter.name == "resume":
            words.append("--resume" if value else "--restart")
        elif parameter.multiple:
            words += [word for one in value for word in (parameter.opts[0], one)]
        else:
            words += [parameter.opts[0], str(value)]
    return words


def _described(run: Path) -> str:
    """Say which run will be replaced, if there is one: its date and what else is in its folder."""
    try:
        manifest = RunReader.open(run).manifest
    except RunError:
        return ""
    others = {path.name for path in run.iterdir() if not path.name.startswith(".")} - {
        *manifest["files"],
        MANIFEST,
        LOGS,
    }
    rest = f" and the other files in its folder: {', '.join(sorted(others))}" if others else ""
    return f"It replaces the run of {manifest.get('created', 'an unknown date')[:10]}{rest}."


def _report(policy: DialogPolicy, out: str, before: str) -> Iterator[str]:
    """Say what was trained on what, and how good it is."""
    info = policy.runtime_.info
    train = info["corpus"]["train"]
    yield (
        f"Trained on {counted(train['dialogues'], 'dialogue')} ({counted(train['turns'], 'turn')}, "
        f"{counted(len(policy.actions_), 'action')}) for {counted(len(policy.history_), 'epoch')}."
    )
    accuracy = kept_accuracy(policy.history_)
    yield f"Validation: {policy.validation_}" + ("." if accuracy is None else f"; its turn accuracy is {accuracy:.3f}.")
    if info["fallback"] is not None:
        below, coverage, precision = (info["fallback"][name] for name in ("below", "coverage", "precision"))
        yield (
            f"Fallback threshold: a confidence of {below:.2f}. The policy is at least so confident in {coverage:.1%} of the "
            f"validation turns, and right in {precision:.1%} of these."
        )
    yield f"The run is in {out}. {before}".rstrip()
